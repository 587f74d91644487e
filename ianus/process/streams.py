"""Opens standard streams that the parent process has closed."""

import os
import sys


def open_standard_streams() -> None:
    """Opens /dev/null for each missing standard stream.

    Otherwise a listening socket or the loop's own descriptor gets its number, and output such as the access log goes
    there.
    """
    for number, name, flags in ((0, "stdin", os.O_RDONLY), (1, "stdout", os.O_WRONLY), (2, "stderr", os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            found = os.open(os.devnull, flags)  # The lowest number that is free: those below are open already.
            os.set_inheritable(found, True)
            if getattr(sys, name) is None:
                mode = "w" if flags else "r"
                setattr(sys, name, open(found, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
