"""The command `ianus` without a sub-command: joins the command line to the server."""

import sys
from collections.abc import Callable

import click

from ianus._version import __version__
from ianus.commands.version import describe_tls
from ianus.errors import StartupError
from ianus.settings.cli import build_command
from ianus.settings.schema import Settings
from ianus.settings.sources import Reader

MAX_SHOWN = 6


def build_serving_command(on_missing: Callable[[Settings], None] | None = None) -> click.Command:
    """Returns the command that serves an application, or checks its settings.

    on_missing: called if no application is named; by default it explains which there are.
    """
    return build_command(serve, check, __version__, on_missing or explain_missing, describe_tls)


def explain_missing(settings: Settings) -> None:
    """Raises UsageError with the applications that are found, if any."""
    from ianus.gateway.loading.discovery import find_applications  # Late: only for a line without APP.

    found = find_applications(settings.app_dir)
    if found:
        lines = "".join(f"\n  {each.found}: {each.command()}" for each in found[:MAX_SHOWN])
        raise click.UsageError(
            f"No application is given. Found:{lines}\n`ianus dev` serves the first one, and restarts it after changes."
            " (ianus docs starting)"
        )


def serve(app: str, settings: Settings, reader: Reader) -> int:
    """Serves until asked to stop. Returns the exit code; an error that prevents the start is printed."""

    def run() -> int:
        from ianus.process.supervise import supervise  # Late: `ianus --help` needs no server.

        return supervise(app, settings, reader)

    def report(error: StartupError) -> None:
        from ianus.process.failures import write_failed_command

        write_failed_command(error, settings)

    return _reported(run, report)


def check(app: str, settings: Settings, reader: Reader) -> int:
    """Checks a start without opening a socket. Returns the exit code; an error that prevents the start is printed."""

    def run() -> int:
        from ianus.process.check import check

        print(f"{check(app, settings, reader.hooks)}: all settings are good.")
        return 0

    return _reported(run)


def _print(error: StartupError) -> None:
    sys.stderr.write(error.report())


def _reported(act: Callable[[], int], report: Callable[[StartupError], None] = _print) -> int:
    try:
        return act()
    except StartupError as error:
        report(error)
        return error.exit_code
    except KeyboardInterrupt:  # ^C before the signal handlers stand
        return 130
