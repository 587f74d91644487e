"""The command `ianus`, and `python -m ianus`: joins the command line to the worker."""

import sys
from collections.abc import Callable
from typing import NoReturn

from ianus._version import __version__
from ianus.errors import StartupError
from ianus.process.streams import open_standard_streams
from ianus.settings.cli import build_command, subcommand
from ianus.settings.schema import Settings
from ianus.settings.sources import Reader


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

        print(f"{check(app, settings)}: all settings are good.")
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


def main() -> NoReturn:
    """Entry point of the console script."""
    open_standard_streams()
    name = "python -m ianus" if sys.argv[0].endswith("__main__.py") else "ianus"
    line = sys.argv[1:]
    if other := subcommand(line):
        other(line[1:], f"{name} {other.name}")
    build_command(serve, check, __version__)(line, name)
    raise AssertionError("click exits by itself")


if __name__ == "__main__":
    main()
