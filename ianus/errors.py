"""What stops the server from starting, told in one message.

A person who starts a server wants to read what is wrong and what to do about it, never a traceback of the
server. So everything that is foreseen raises a StartupError whose text names the cause and the fix; the
command prints it and exits with its code. A traceback that goes with it is the application's own, without our
frames; those of failed requests are logged whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from traceback import TracebackException

PACKAGE_DIR = __file__.removesuffix("errors.py")


class StartupError(Exception):
    """The server cannot start.

    message: one or a few lines that name the cause and the fix.
    details: what is printed before it, usually the application's own traceback; "" is nothing.
    """

    exit_code = 3

    def __init__(self, message: str, *, details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def report(self) -> str:
        """The text for a terminal, ending in a newline."""
        details = self.details.rstrip("\n")
        return (f"{details}\n\n" if details else "") + f"Error: {self.message}\n"


class SettingError(StartupError, ValueError):
    """A setting has a value that it cannot have."""

    exit_code = 2  # as for any command line that cannot be understood

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
        self.problem = problem


class ConflictError(SettingError):
    """Two settings have values that do not go together.

    sentence: says so, with {} in place of either of the `settings`.
    """

    def __init__(self, settings: tuple[str, str], sentence: str) -> None:
        super().__init__(settings[0], "")
        self.settings, self.sentence = settings, sentence
        self.message = sentence.format(*settings)
        self.args = (self.message,)


def nearest(name: str, known: Iterable[str]) -> str:
    """The one of `known` that `name` may be a misspelling of; "" where there is none."""
    import difflib  # Only on the way out: start-up pays for no module that it does not need.

    return next(iter(difflib.get_close_matches(name, known, 1)), "")


def one_line(error: BaseException) -> str:
    """What an error says, without a full stop: its type and, where it has one, its text."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}".rstrip(".") if text else type(error).__name__


def user_traceback(error: BaseException) -> str:
    """The traceback of `error` and of its causes, as Python prints it, without the frames of this package."""
    import traceback  # As above.

    report = traceback.TracebackException.from_exception(error)
    _hide_own_frames(report)
    return "".join(report.format())


def _hide_own_frames(report: TracebackException | None) -> None:
    if report is None:
        return
    kept = [frame for frame in report.stack if not is_own(frame.filename)]
    if kept:
        report.stack[:] = kept
    else:
        # An error that no frame of the user's leads to, such as a syntax error in the file that we import.
        # None suppresses the header line as well (TracebackException.format).
        report.stack = None  # type: ignore[assignment]
    _hide_own_frames(report.__cause__)
    _hide_own_frames(report.__context__)
    for member in getattr(report, "exceptions", None) or ():  # of an exception group
        _hide_own_frames(member)


def is_own(filename: str) -> bool:
    """Whether a source file, as a frame names it, is one of this package."""
    # Compiled modules name their source relative to the project (`ianus/gateway/asgi.pyx`).
    return filename.startswith(PACKAGE_DIR) or (filename.startswith("ianus/") and filename.endswith(".pyx"))
