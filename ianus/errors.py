"""Errors that prevent a start, each one message; and the text of any exception, however it is made.

An operator needs the cause and the remedy, not a traceback of the server. So every expected problem raises a
StartupError whose text names both. The command prints it and exits with its code. Its traceback, if any, is the
application's own, without our frames; those of failed requests are logged whole.

Exceptions are the application's data. Causes can form a cycle, chains can be endless, groups can share members, and
attributes can be properties that raise. So every walk here is bounded, and reads the links from the C structure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from traceback import TracebackException

# Exceptions that one traceback may show as Python does, and those that a shortened one shows, with frames of each.
MAX_LINKED = 200
MAX_SHOWN = 10
MAX_FRAMES = 100

PACKAGE_DIR = __file__.removesuffix("errors.py")


class StartupError(Exception):
    """The server cannot start.

    message: one or a few lines that name the cause and the fix.
    details: text to print before it, usually the application's own traceback; "" is nothing.
    page: the page of the documents that explains it, for `ianus docs`.
    """

    exit_code = 3
    page = "starting"

    def __init__(self, message: str, *, details: str = "", page: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        if page:
            self.page = page

    def explain(self) -> str:
        """Returns the message with its page."""
        return f"{self.message} (ianus docs {self.page})"

    def report(self) -> str:
        """The text for a terminal, ending in a newline."""
        details = self.details.rstrip("\n")
        return (f"{details}\n\n" if details else "") + f"Error: {self.explain()}\n"


class ThreadLimitError(StartupError):
    """The system gives the process no thread that it cannot serve without. error: its purpose, or Python's error."""

    page = "operations"

    def __init__(self, error: BaseException | str, *, details: str = "") -> None:
        super().__init__(
            f"The system gives no thread ({error}). Raise the limit on processes and threads, which is that of the "
            "user (ulimit -u), of the service (TasksMax=) or of the container (pids limit).",
            details=details,
        )


class AddressInUseError(StartupError):
    """A TCP address is in use. port: its number."""

    def __init__(self, message: str, port: int) -> None:
        super().__init__(message)
        self.port = port


class SettingError(StartupError, ValueError):
    """A setting has a value that it cannot have."""

    page = "settings"
    exit_code = 2  # as for any command line that cannot be understood

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting}: {problem}")
        self.setting = setting
        self.problem = problem


class ConflictError(SettingError):
    """Settings have values that do not go together.

    template: the message, with {} in place of each of the `settings`. page: as in StartupError.
    """

    exit_code = StartupError.exit_code  # each of them is understood, but no server can have both

    def __init__(self, settings: tuple[str, ...], template: str, *, page: str = "") -> None:
        super().__init__(settings[0], "")
        self.page = page or self.page
        self.settings, self.template = settings, template
        self.message = template.format(*settings)
        self.args = (self.message,)


def closest_match(name: str, known: Iterable[str], similarity: float = 0.6) -> str:
    """Returns the one of `known` that `name` may be a misspelling of; "" if none is similar. similarity: 0 to 1."""
    import difflib  # Only on the way out: start-up pays for no module that it does not need.

    return next(iter(difflib.get_close_matches(name, known, 1, similarity)), "")


def one_line(error: BaseException) -> str:
    """Formats an error without a full stop: its type and, if it has one, its text."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = "(its text is not available: str() failed)"
    return f"{type(error).__name__}: {text}".rstrip(".") if text else type(error).__name__


def user_traceback(error: BaseException) -> str:
    """The traceback of `error` and of its causes, as Python prints it, without the frames of this package."""
    import traceback  # As above.

    if not has_regular_links(error):
        return _short_traceback(error, hide_own=True)
    report = traceback.TracebackException.from_exception(error)
    _hide_own_frames(report)
    return "".join(report.format())


def whole_traceback(error: BaseException) -> str:
    """The traceback of `error` and of its causes, as Python prints it."""
    import traceback  # As above.

    if not has_regular_links(error):
        return _short_traceback(error, hide_own=False)
    return "".join(traceback.format_exception(error))


def is_thread_limit(error: BaseException) -> bool:
    """Returns whether `error`, or one of its causes, reports that the system has refused a new thread."""
    pending, seen = [error], set[int]()
    while pending and len(seen) < MAX_LINKED:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if type(current) is RuntimeError and "can't start new thread" in str(current):
            return True
        pending += [*_cause_and_context(current), *members_of(current)[:MAX_SHOWN]]
    return False


def has_regular_links(error: BaseException) -> bool:
    """Whether Python's `traceback` can format `error` with its causes, contexts and members in reasonable time.

    False for more than MAX_LINKED of them, and for attributes that fail or differ from the C structure. `traceback`
    visits a member as often as groups contain it, so nested groups that share members take exponential time.
    """
    seen: set[int] = set()
    pending = [error]
    visits = 0
    try:
        while pending:
            current = pending.pop()
            visits += 1
            if visits > MAX_LINKED or not _has_plain_attributes(current):
                return False
            seen.add(id(current))
            pending += [link for link in _cause_and_context(current) if id(link) not in seen]
            pending += members_of(current)
    except Exception:
        return False
    return True


def cause_of(error: BaseException) -> BaseException | None:
    """`error.__cause__`, even if the class of `error` overrides the attribute."""
    return _CAUSE.__get__(error)  # type: ignore[no-any-return]


def context_of(error: BaseException) -> BaseException | None:
    """`error.__context__`, even if the class of `error` overrides the attribute."""
    return _CONTEXT.__get__(error)  # type: ignore[no-any-return]


def members_of(error: BaseException) -> tuple[BaseException, ...]:
    """The members of an exception group, and of any other exception none."""
    # Not isinstance(), which asks a property of the name __class__.
    if not issubclass(type(error), BaseExceptionGroup):
        return ()
    return _MEMBERS.__get__(error)  # type: ignore[no-any-return]


_CAUSE = vars(BaseException)["__cause__"]
_CONTEXT = vars(BaseException)["__context__"]
_TRACEBACK = vars(BaseException)["__traceback__"]
_MEMBERS = vars(BaseExceptionGroup)["exceptions"]


def _cause_and_context(error: BaseException) -> list[BaseException]:
    return [link for link in (cause_of(error), context_of(error)) if link is not None]


def _has_plain_attributes(error: BaseException) -> bool:
    """Whether the attributes that `traceback` reads are those that Python has set. Raises their exceptions."""
    bool(error)
    getattr(error, "__notes__", None)
    return (
        error.__cause__ is cause_of(error)
        and error.__context__ is context_of(error)
        and error.__traceback__ is _TRACEBACK.__get__(error)
        and (not isinstance(error, BaseExceptionGroup) or error.exceptions is members_of(error))
    )


def _short_traceback(error: BaseException, *, hide_own: bool) -> str:
    """The first MAX_SHOWN exceptions that `error` leads to, each once, without calling anything of theirs but str()."""
    found: dict[int, str] = {}
    pending: list[tuple[BaseException, str]] = [(error, "")]
    while pending and len(found) < MAX_SHOWN:
        current, relation = pending.pop(0)
        if id(current) in found:
            continue
        found[id(current)] = relation + _own_traceback(current, hide_own=hide_own)
        for link, name in ((cause_of(current), "The cause"), (context_of(current), "The context")):
            if link is not None and id(link) not in found:
                pending.append((link, f"\n{name} of {type(current).__name__}:\n\n"))
        # As many as could be shown: a group may have millions.
        pending += [
            (member, f"\nA member of {type(current).__name__}:\n\n") for member in members_of(current)[:MAX_SHOWN]
        ]
    omitted = any(id(each) not in found for each, _ in pending)
    return "".join(found.values()) + ("\nFurther causes, contexts and members are left out.\n" if omitted else "")


def _own_traceback(error: BaseException, *, hide_own: bool) -> str:
    """The frames and the text of `error` alone."""
    from traceback import StackSummary, walk_tb

    stack = StackSummary.extract(walk_tb(_TRACEBACK.__get__(error)), limit=-MAX_FRAMES)
    if hide_own:
        stack[:] = [frame for frame in stack if not is_own(frame.filename)]
    header = "Traceback (most recent call last):\n" if stack else ""
    return f"{header}{''.join(stack.format())}{one_line(error)}\n"


def _hide_own_frames(report: TracebackException) -> None:
    pending: list[TracebackException | None] = [report]
    while pending:
        current = pending.pop()
        if current is None:
            continue
        kept = [frame for frame in current.stack if not is_own(frame.filename)]
        if kept:
            current.stack[:] = kept
        else:
            # An error that no frame of the user's leads to, such as a syntax error in the file that we import.
            # None suppresses the header line as well (TracebackException.format).
            current.stack = None  # type: ignore[assignment]
        pending += [current.__cause__, current.__context__, *(getattr(current, "exceptions", None) or ())]


def is_own(filename: str) -> bool:
    """Whether a source file, as a frame names it, is one of this package."""
    # Compiled modules name their source relative to the project (`ianus/gateway/asgi/gateway.pyx`).
    return filename.startswith(PACKAGE_DIR) or (filename.startswith("ianus/") and filename.endswith(".pyx"))
