"""Waiting for descriptors, signals and deadlines."""

import os
import select
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from ianus.process.after_fork import set_handler
from ianus.process.supervisor.wakeups import Wakeups

SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)


class FakePoll:
    """Records the time limits of waits, and reports the descriptors of `ready`."""

    def __init__(self) -> None:
        self.ready: list[int] = []
        self.timeouts: list[int | None] = []
        self.registered: set[int] = set()

    def register(self, fd: int, events: int) -> None:
        assert events == select.POLLIN
        self.registered.add(fd)

    def unregister(self, fd: int) -> None:
        self.registered.remove(fd)

    def poll(self, timeout: int | None) -> list[tuple[int, int]]:
        self.timeouts.append(timeout)
        return [(fd, select.POLLIN) for fd in self.ready]


@pytest.fixture
def poll(monkeypatch: pytest.MonkeyPatch) -> FakePoll:
    fake = FakePoll()
    monkeypatch.setattr(select, "poll", lambda: fake)
    return fake


@pytest.fixture
def restored_signals() -> Iterator[None]:
    restore = set_handler(SIGNALS, lambda number, frame: None)
    wakeup_fd = signal.set_wakeup_fd(-1)
    yield
    signal.set_wakeup_fd(wakeup_fd)
    restore()


@pytest.mark.parametrize(
    ("seconds", "milliseconds"), [(None, None), (1.5, 1501), (0.0004, 1), (0.0, 1), (-0.5, 0), (-3.0, 0)]
)
def test_a_wait_ends_after_the_deadline_and_never_before(
    poll: FakePoll, seconds: float | None, milliseconds: int | None
) -> None:
    Wakeups().wait(seconds)
    assert poll.timeouts == [milliseconds]


def test_functions_of_readable_descriptors_are_called(poll: FakePoll) -> None:
    wakeups = Wakeups()
    called: list[int] = []
    for fd in (5, 6, 7):
        wakeups.watch(fd, partial(called.append, fd))
    poll.ready = [5, 7]
    wakeups.wait(None)
    assert called == [5, 7]


def test_a_descriptor_that_an_earlier_function_has_removed_is_not_handled(poll: FakePoll) -> None:
    wakeups = Wakeups()
    called: list[int] = []
    wakeups.watch(5, lambda: wakeups.unwatch(6))
    wakeups.watch(6, lambda: called.append(6))
    poll.ready = [5, 6]
    wakeups.wait(None)
    assert called == []
    assert poll.registered == {5}


def test_a_descriptor_may_be_removed_twice(poll: FakePoll) -> None:
    wakeups = Wakeups()
    wakeups.watch(5, list)
    for _ in range(2):
        wakeups.unwatch(5)
    assert poll.registered == set()


@pytest.mark.usefixtures("restored_signals")
def test_signals_end_a_wait_and_are_recorded_in_their_order() -> None:
    wakeups = Wakeups()
    wakeups.listen_to_signals(SIGNALS)
    try:
        for number in (signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR2):
            os.kill(os.getpid(), number)
        wakeups.wait(None)
        assert list(wakeups.signals) == [signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR2]
    finally:
        signal.set_wakeup_fd(-1)
        wakeups.close_in_child()


def test_the_descriptors_of_signals_are_closed_in_a_child_only_if_there_are_any() -> None:
    Wakeups().close_in_child()
