"""The stack of idle threads."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from ianus.gateway.threads.pool_thread import PoolThread
from ianus.gateway.threads.recording import RecordingIdleStack
from tests.helpers import until

NEVER_SECONDS = 1e6


@pytest.fixture
def stack() -> Iterator[RecordingIdleStack]:
    stack = RecordingIdleStack()
    yield stack
    stack.close()


def park(stack: RecordingIdleStack, thread: PoolThread | None = None) -> "Future[str]":
    """Parks a new thread on top of the stack. Returns the reason of its end, once it has been woken."""
    parked, ended = stack.parked, Future[str]()
    member = PoolThread() if thread is None else thread

    def run() -> None:
        ended.set_result(stack.park(member, max_seconds=NEVER_SECONDS))

    threading.Thread(target=run, daemon=True).start()
    until(lambda: stack.parked == parked + 1)
    return ended


def test_the_thread_that_parked_last_is_woken_first(stack: RecordingIdleStack) -> None:
    threads = [park(stack) for _ in range(3)]
    for thread, reason in zip(reversed(threads), ("LEAD", "LEAD_IDLE", "LEAD"), strict=True):
        assert stack.wake_top(reason)
        assert thread.result(10) == reason
    assert not stack.wake_top("LEAD")


def test_a_thread_whose_time_is_over_exits(stack: RecordingIdleStack) -> None:
    bottom = park(stack)
    assert stack.park(PoolThread(), max_seconds=0.0) == "EXIT"
    assert stack.parked == 1
    assert not bottom.done()


def test_the_bottom_thread_never_exits_by_itself(stack: RecordingIdleStack) -> None:
    ended = Future[str]()
    threading.Thread(target=lambda: ended.set_result(stack.park(PoolThread(), max_seconds=0.0)), daemon=True).start()
    until(lambda: stack.parked == 1)
    assert stack.wake_top("LEAD")
    assert ended.result(10) == "LEAD"


def test_a_thread_that_is_not_parked_keeps_its_reason(stack: RecordingIdleStack) -> None:
    thread = PoolThread()
    stack.wake(thread, "LEAD")
    stack.wake_for_signals(thread)
    assert stack.park(thread, max_seconds=NEVER_SECONDS) == "LEAD"
    stack.wake_for_signals(thread)
    assert stack.park(thread, max_seconds=NEVER_SECONDS) == "RUN_SIGNAL_HANDLERS"


def test_a_certain_thread_is_woken_from_within_the_stack(stack: RecordingIdleStack) -> None:
    member = PoolThread()
    bottom, middle, top = park(stack), park(stack, member), park(stack)
    stack.wake(member, "LEAD")
    assert middle.result(10) == "LEAD"
    assert stack.parked == 2
    assert not bottom.done()
    assert not top.done()


def test_a_closed_stack_wakes_all_and_lets_no_thread_park(stack: RecordingIdleStack) -> None:
    threads = [park(stack) for _ in range(3)]
    stack.close()
    assert [thread.result(10) for thread in threads] == ["EXIT"] * 3
    assert stack.park(PoolThread(), max_seconds=NEVER_SECONDS) == "EXIT"
