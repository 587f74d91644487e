"""The command `ianus`, and `python -m ianus`: runs a sub-command, or serves."""

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from typing import NoReturn

from ianus.commands import find_subcommand
from ianus.commands.serving import build_serving_command
from ianus.errors import PACKAGE_DIR, StartupError
from ianus.process.streams import open_standard_streams


def main() -> NoReturn:
    """Entry point of the console script."""
    open_standard_streams()
    _require_directory()
    _require_compiled_modules()
    name = "python -m ianus" if sys.argv[0].endswith("__main__.py") else "ianus"
    line = sys.argv[1:]
    if other := find_subcommand(line):
        other(line[1:], f"{name} {other.name}")
    build_serving_command().main(line, name)


def _require_directory() -> None:
    """Ends the process if the current directory was removed: modules and files cannot be found then."""
    try:
        os.getcwd()  # noqa: PTH109
    except OSError as error:
        _exit(f"The current directory cannot be read ({error.strerror}). Change to another one (cd).")


def _require_compiled_modules() -> None:
    """Ends the process in a clone that was not built: `python -m ianus` takes it for the package in its folder."""
    if not any(os.path.exists(f"{PACKAGE_DIR}acceptor/reactor{suffix}") for suffix in EXTENSION_SUFFIXES):  # noqa: PTH110
        _exit(
            f"The compiled modules are not in {PACKAGE_DIR}. In a clone, run `make build`; or use an installed Ianus by"
            " the command `ianus`, or from another directory."
        )


def _exit(problem: str) -> NoReturn:
    error = StartupError(problem)
    sys.stderr.write(error.report())
    sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
