"""kosoku's command line, with one mistake of its cases set right.

It hands a compressed message to a case as bytes, any other as a string of code points up to 255. The cases of deflate
(12 and 13) compute a digest of the message, which fails for a string. A message is a string if the server chose not to
compress it, as it may (RFC 7692, 6).
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from kosoku import _caseindex, _cli

OnMessage = Callable[[Any, bytes, bool], None]


def with_bytes(on_message: OnMessage) -> OnMessage:
    def wrapped(case: Any, message: str | bytes, binary: bool) -> None:
        on_message(case, message.encode("latin-1") if isinstance(message, str) else message, binary)

    return wrapped


def main() -> None:
    # Makes the cases importable; later imports get the same classes.
    _caseindex.initialize_shims()
    from case12_x_x import Case12_X_X, Case13_X_X

    for case in (*Case12_X_X, *Case13_X_X):
        case.onMessage = with_bytes(case.onMessage)
    code: Any = 0
    try:
        _cli.main()
    except SystemExit as error:
        code = error.code or 0
    sys.stdout.flush()
    # Without the end of the interpreter, in which threads of its extension may abort the process.
    os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    main()
