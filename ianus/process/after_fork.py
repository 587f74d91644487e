"""The server's signal handlers and files, which a process that the application forks does not inherit.

Facts: fork() copies handlers, the wake-up descriptor and open files. With them, a child of multiprocessing would ignore
SIGTERM, wake its parent's event loop with each signal, and keep the server's sockets open. Strategy: the server
registers its handlers and files here, and a fork handler removes them from the child.

Rules:
- A handler that the application has set later is the application's own, and stays.
- Signals are blocked from before the fork until the child has its handlers: a SIGTERM that arrives at once is not lost.
- Forks of the server's own (fork.py, template.py) set up their child themselves; see own_fork().
"""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any]


class _Fork(threading.local):
    """The fork that this thread is making."""

    is_own = False
    mask: Iterable[int] | None = None  # the thread's signal mask before it


_fork = _Fork()
_handlers: dict[int, tuple[Handler, Any]] = {}  # by signal: the server's handler, and the one that a child gets instead
_closers: list[Callable[[], None]] = []


def set_handler(numbers: Iterable[signal.Signals], handler: Handler) -> Callable[[], None]:
    """Has `handler` called for these signals, in this process alone. Returns a function that restores the previous
    handlers.
    """
    replaced: list[tuple[signal.Signals, Any, tuple[Handler, Any] | None]] = []
    for number in numbers:
        before, known = signal.signal(number, handler), _handlers.get(number)
        replaced.append((number, before, known))
        _handlers[number] = handler, known[1] if known is not None and known[0] == before else before

    def restore() -> None:
        for number, before, known in replaced:
            _set(number, before)
            if known is None:
                _handlers.pop(number, None)
            else:
                _handlers[number] = known

    return restore


def has_own_handler(number: signal.Signals) -> bool:
    """Whether the handler of this signal is one that set_handler() has set."""
    known = _handlers.get(number)
    return known is not None and signal.getsignal(number) == known[0]


def close_in_children(close: Callable[[], None]) -> Callable[[], None]:
    """Has `close` called in each child that the application forks. Returns a function that undoes this."""
    _closers.append(close)
    return lambda: _closers.remove(close) if close in _closers else None


@contextlib.contextmanager
def own_fork() -> Iterator[None]:
    """Within it this thread forks a process of the server, which keeps everything but the files of
    close_in_children()."""
    _fork.is_own = True
    try:
        yield
    finally:
        _fork.is_own = False


def _set(number: int, handler: Any) -> None:
    # None: a handler that was not set from Python; it cannot be set again from here.
    signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _before_fork() -> None:
    if _handlers:
        _fork.mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def _after_fork() -> None:
    if _fork.mask is not None:
        mask, _fork.mask = _fork.mask, None
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _in_child() -> None:
    closers = _closers[:]
    _closers.clear()
    interrupt = None
    try:
        if not _fork.is_own:
            interrupt = _remove_handlers()
            for close in closers:
                close()
    finally:
        _after_fork()
    if interrupt is not None:
        signal.signal(signal.SIGINT, interrupt)


def _remove_handlers() -> Any:
    """Gives the child the previous handlers. Returns that of SIGINT if it has to be set once signals are unblocked:
    Python ignores an exception in a fork handler, so a KeyboardInterrupt there would be lost.
    """
    if not _handlers:
        return None
    interrupt = None
    for number, (handler, before) in _handlers.items():
        if signal.getsignal(number) == handler:
            if before is signal.default_int_handler:
                interrupt, before = before, signal.SIG_DFL
            _set(number, before)
    _handlers.clear()
    signal.set_wakeup_fd(-1)  # shared with the parent, whose loop it would wake
    return interrupt


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
