"""The command `ianus`, and `python -m ianus`: runs a sub-command, or serves."""

import os
import sys
from typing import NoReturn

from ianus.commands import find_subcommand
from ianus.commands.serving import build_serving_command
from ianus.errors import StartupError
from ianus.process.streams import open_standard_streams


def main() -> NoReturn:
    """Entry point of the console script."""
    open_standard_streams()
    _require_directory()
    name = "python -m ianus" if sys.argv[0].endswith("__main__.py") else "ianus"
    line = sys.argv[1:]
    if other := find_subcommand(line):
        other(line[1:], f"{name} {other.name}")
    build_serving_command()(line, name)
    raise AssertionError("click exits by itself")


def _require_directory() -> None:
    """Ends the process if the current directory was removed: modules and files cannot be found then."""
    try:
        os.getcwd()  # noqa: PTH109
    except OSError as error:
        problem = StartupError(f"The current directory cannot be read ({error.strerror}). Change to another one (cd).")
        sys.stderr.write(problem.report())
        sys.exit(problem.exit_code)


if __name__ == "__main__":
    main()
