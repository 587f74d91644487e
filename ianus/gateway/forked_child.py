"""The end of a process that an application has forked."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def end_child(error: BaseException | None) -> NoReturn:
    """Ends a process that the application has forked, with the call that forked it.

    If it continued, or cleaned up, it would change the event loop's epoll set, which it shares with its parent.
    """
    code = 0
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    elif error is not None:
        sys.excepthook(type(error), error, error.__traceback__)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code & 0xFF)
