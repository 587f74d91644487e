"""The command `ianus`, and `python -m ianus`: joins the command line to the worker."""

import sys
from typing import NoReturn

from ianus._version import __version__
from ianus.errors import StartupError
from ianus.settings.cli import build_command
from ianus.settings.schema import Settings


def serve(app: str, settings: Settings) -> int:
    """Serves until asked to stop. Returns the exit code; what prevents the start is printed."""
    try:
        from ianus.process import worker  # Late: `ianus --help` needs no server.

        return worker.run(app, settings, hard_exit=True)
    except StartupError as error:
        sys.stderr.write(error.report())
        return error.exit_code
    except KeyboardInterrupt:  # ^C before the signal handlers stand
        return 130


def main() -> NoReturn:
    """Entry point of the console script."""
    command = build_command(serve, __version__)
    command(prog_name="python -m ianus" if sys.argv[0].endswith("__main__.py") else "ianus")
    raise AssertionError("click exits by itself")


if __name__ == "__main__":
    main()
