"""The events for which the supervisor waits: readable descriptors, signals, and the next deadline."""

import os
import select
import signal
from collections import deque
from collections.abc import Callable, Iterable
from types import FrameType

from ianus.process.after_fork import set_handler


class Wakeups:
    """Waits in poll(), and calls the function that is registered for a readable descriptor.

    signals: received signals in their order; the caller of wait() takes them from here.
    """

    def __init__(self) -> None:
        self.signals: deque[int] = deque()
        self._callbacks: dict[int, Callable[[], object]] = {}
        self._poll = select.poll()
        self._signal_pipe: tuple[int, ...] = ()  # Python writes to its second end when a signal arrives

    def watch(self, fd: int, act: Callable[[], object], *, output: bool = False) -> None:
        """Has `act` called whenever the descriptor is readable, or with `output` whenever it is writable.

        A second call for a descriptor replaces the first one.
        """
        self._callbacks[fd] = act
        self._poll.register(fd, select.POLLOUT if output else select.POLLIN)

    def unwatch(self, fd: int) -> None:
        """Undoes watch(). Does nothing for a descriptor that is not watched."""
        if fd in self._callbacks:
            del self._callbacks[fd]
            self._poll.unregister(fd)

    def listen_to_signals(self, numbers: Iterable[signal.Signals]) -> None:
        """Records these signals from now on; each ends a wait."""
        reader, writer = self._signal_pipe = os.pipe()
        for fd in self._signal_pipe:
            os.set_blocking(fd, False)
        self.watch(reader, lambda: os.read(reader, 65536))
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        set_handler(numbers, self._note_signal)

    def wait(self, seconds: float | None) -> None:
        """Waits for an event, at most this time, None for no limit, and calls the functions of descriptors."""
        # Rounded up: the work of a deadline is due when the wait for it ends.
        for fd, _ in self._poll.poll(None if seconds is None else max(int(seconds * 1000) + 1, 0)):
            if fd in self._callbacks:  # An earlier function may have removed it.
                self._callbacks[fd]()

    def close_in_child(self) -> None:
        """Closes the descriptors of signals, in a process that was forked from the supervisor."""
        for fd in self._signal_pipe:
            os.close(fd)

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self.signals.append(number)
