"""`ianus check APP [PATH ...]` checks an application against its specification, and recommends settings."""

import contextlib
import os
import shlex
import sys
import threading
from collections.abc import Collection, Iterator

import click

from ianus.commands.subcommand import NamedChoice, ParsedValue, SubCommand
from ianus.settings.values import seconds

HELP = """Check the application APP and recommend settings for it.

Loads APP, sends GET, HEAD and OPTIONS for each PATH (/ by default) to it, without a server, and never a request that
writes. Reports violations of PEP 3333 and of the ASGI specification with the lines of the application, measures whether
handlers block, and recommends interface, threads and workers.

The exit code is 1 if there are violations, and 3 if APP cannot be loaded.
"""

# The exit code that shells make of a process that SIGINT has ended.
INTERRUPTED = 130
# Threads of the application get this time to end at the exit of the process.
EXIT_SECONDS = 3.0
MIN_SECONDS = 0.1
MAX_SHOWN = 6


def build_command() -> click.Command:
    def run(
        app: str | None, paths: tuple[str, ...], as_json: bool, app_dir: str, factory: bool, interface: str, host: str,
        timeout: float,
    ) -> None:  # fmt: skip
        # Late: `ianus help check` needs none of it.
        from ianus.check.application_check import check_application
        from ianus.check.result_text import to_json, to_text
        from ianus.gateway.loading.loader import load

        if app is None:
            raise click.UsageError(_explain_missing(app_dir))
        context = click.get_current_context()
        threads = set(threading.enumerate())
        try:
            with _stdout_on_stderr():
                loaded = load(app, factory=factory, app_dir=app_dir, interface=interface)
                result = check_application(loaded, paths or ("/",), interface=interface, host=host, timeout=timeout)
        except KeyboardInterrupt:
            context.exit(INTERRUPTED)
        # Arguments of a factory may be secret, so the loader replaces them in the name.
        words = [loaded.name if "(...)" in loaded.name else app]
        if factory:
            words.insert(0, "--factory")
        for flag, value, default in (("--interface", interface, "auto"), ("--app-dir", app_dir, ".")):
            if value != default:
                words[:0] = [flag, value]
        name = shlex.join(words)
        text = to_json(result, name) if as_json else to_text(result, name)
        click.echo(text.encode("utf-8", "backslashreplace").decode(), nl=False)
        code = 1 if result.violations else 0
        if any(each.is_stuck for each in result.measurements):
            # Its threads and tasks still run, and the exit of the process would wait for them.
            sys.stdout.flush()
            os._exit(code)
        _limit_exit(code, set(threading.enumerate()) - threads)
        context.exit(code)

    return SubCommand(
        "check",
        page="choosing",
        params=[
            click.Argument(["app"], metavar="APP", required=False),
            click.Argument(["paths"], metavar="[PATH]...", nargs=-1),
            click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON object."),
            click.Option(
                ["--app-dir"], default=".", metavar="DIR", help="Import the application from this directory first."
            ),
            click.Option(["--factory"], is_flag=True, help="Call APP to create the application."),
            click.Option(
                ["--interface"],
                type=NamedChoice(["auto", "asgi", "asgi3", "asgi2", "wsgi"]),
                default="auto",
                help="Interface of the application.",
            ),
            click.Option(["--host"], default="localhost", metavar="NAME", help="Host header of the probes."),
            click.Option(
                ["--timeout"],
                type=ParsedValue(_response_seconds),
                default="10",
                metavar="TIME",
                help="Maximum time for a response; 10 seconds by default.",
            ),
        ],
        callback=run,
        help=HELP,
    )


def _response_seconds(value: object) -> float:
    """Parses a time of at least 100 ms. Raises ValueError."""
    found = seconds(value)
    if found < MIN_SECONDS:
        raise ValueError(f"{value} is too short for a response; write at least {MIN_SECONDS}.")
    return found


def _explain_missing(app_dir: str) -> str:
    from ianus.gateway.loading.discovery import find_applications

    found = [f"\n  {each.found}: {each.command('ianus check')}" for each in find_applications(app_dir)[:MAX_SHOWN]]
    if not found:
        return "No application is given; name it, as in `ianus check main:app`."
    return f"No application is given. Found:{''.join(found)}"


@contextlib.contextmanager
def _stdout_on_stderr() -> Iterator[None]:
    """Has the output of the application on standard error, also that of its processes and C libraries.

    It is not the result, which is perhaps read as JSON.
    """
    kept = -1
    with contextlib.suppress(OSError):  # One of the two is closed.
        kept = os.dup(1)
        os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if kept >= 0:
            os.dup2(kept, 1)
            os.close(kept)


def _limit_exit(code: int, threads: Collection[threading.Thread]) -> None:
    """Ends the process in time, if threads of the application would keep it from exiting."""
    if any(not thread.daemon for thread in threads):
        sys.stdout.flush()
        timer = threading.Timer(EXIT_SECONDS, os._exit, [code])
        timer.daemon = True
        timer.start()
