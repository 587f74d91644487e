"""The command `ianus` without a sub-command: joins the command line to the server."""

import gc
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from ianus.errors import StartupError
from ianus.settings.cli import LineError, ServingCommand
from ianus.settings.schema import Settings
from ianus.settings.sources import Reader

if TYPE_CHECKING:
    import click

MAX_SHOWN = 6


def build_serving_command(on_missing: Callable[[Settings], None] | None = None) -> ServingCommand:
    """Returns the command that serves an application, or checks its settings.

    on_missing: called if no application is named; by default it explains which there are.
    """
    return ServingCommand(serve, check, build_pages, on_missing or explain_missing)


def build_pages() -> "click.Command":
    """Returns the command that shows the help pages of `ianus`."""
    from ianus._version import __version__  # Late: a line that serves needs no page.
    from ianus.commands.version import describe_tls
    from ianus.settings import help_pages

    return help_pages.build_pages(__version__, describe_tls)


def explain_missing(settings: Settings) -> None:
    """Raises LineError with the applications that are found, if any."""
    from ianus.gateway.loading.discovery import find_applications  # Late: only for a line without APP.

    found = find_applications(settings.app_dir)
    if found:
        lines = "".join(f"\n  {each.found}: {each.command()}" for each in found[:MAX_SHOWN])
        raise LineError(
            f"No application is given. Found:{lines}\n`ianus dev` serves the first one, and restarts it after changes."
            " (ianus docs starting)"
        )


def serve(app: str, settings: Settings, reader: Reader) -> int:
    """Serves until asked to stop. Returns the exit code; an error that prevents the start is printed."""

    def run() -> int:
        # The modules of the server have no garbage, and searching them for it takes a tenth of a start. Frozen ones are
        # not searched later either, so that the workers share their pages with the supervisor.
        gc.disable()
        from ianus.process.supervise import supervise  # Late: `ianus --help` needs no server.

        gc.freeze()
        gc.enable()
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
