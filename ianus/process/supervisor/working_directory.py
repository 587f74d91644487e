"""The directory of the server (--chdir), and the directories of its modules (--pythonpath)."""
# ruff: noqa: PTH100  (pathlib takes 5 ms to import)

import os
import sys

from ianus.errors import StartupError
from ianus.settings.schema import Settings


def enter(settings: Settings) -> None:
    """Changes to the directory of --chdir, and puts those of --pythonpath in front of sys.path.

    A relative directory of --pythonpath is one in that of --chdir. Raises StartupError.
    """
    if settings.chdir:
        try:
            os.chdir(settings.chdir)
        except OSError as error:
            raise StartupError(
                f"The directory {settings.chdir} cannot be entered ({error.strerror}). Check --chdir."
            ) from None
    for each in reversed(settings.pythonpath):
        directory = os.path.abspath(each)
        if directory in sys.path:
            sys.path.remove(directory)
        sys.path.insert(0, directory)
