"""Signals and their effects, on every loop."""

import asyncio
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ianus.process.stop_level import StopLevel
from ianus.process.worker.signals import MIN_SECONDS, Escalation, StopRequest, handle_signals, wake_by_signals
from tests.rows import for_each_row

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR2)


def new_uvloop() -> asyncio.AbstractEventLoop:
    uvloop = pytest.importorskip("uvloop")
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


@pytest.fixture(params=[asyncio.new_event_loop, new_uvloop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    loop = request.param()
    yield loop
    loop.close()


@pytest.fixture
def stop(loop: asyncio.AbstractEventLoop) -> Iterator[StopRequest]:
    stop = StopRequest()
    restore = handle_signals(loop, stop)
    yield stop
    restore()


def level_after(loop: asyncio.AbstractEventLoop, stop: StopRequest, *signals: signal.Signals) -> StopLevel:
    for number in signals:
        os.kill(os.getpid(), number)
    loop.run_until_complete(asyncio.wait_for(stop.wait(StopLevel.HANDOVER), 5))
    return stop.level


@pytest.mark.parametrize(
    ("signals", "level"),
    [
        ([signal.SIGTERM], StopLevel.GRACEFUL),
        ([signal.SIGINT], StopLevel.GRACEFUL),
        ([signal.SIGQUIT], StopLevel.QUICK),
        ([signal.SIGINT, signal.SIGINT], StopLevel.QUICK),
        ([signal.SIGTERM, signal.SIGINT], StopLevel.QUICK),
        ([signal.SIGTERM, signal.SIGTERM], StopLevel.GRACEFUL),
        ([signal.SIGINT, signal.SIGTERM], StopLevel.GRACEFUL),
        ([signal.SIGQUIT, signal.SIGTERM], StopLevel.QUICK),
        ([signal.SIGUSR2], StopLevel.HANDOVER),
        ([signal.SIGUSR2, signal.SIGTERM], StopLevel.GRACEFUL),
        ([signal.SIGUSR2, signal.SIGINT], StopLevel.GRACEFUL),
        ([signal.SIGUSR2, signal.SIGQUIT], StopLevel.QUICK),
        ([signal.SIGTERM, signal.SIGUSR2], StopLevel.GRACEFUL),
    ],
)
def test_the_stop_level_of_each_signal(
    signals: list[signal.Signals], level: StopLevel, loop: asyncio.AbstractEventLoop, stop: StopRequest
) -> None:
    assert level_after(loop, stop, *signals) == level


def test_a_signal_wakes_an_idle_loop(loop: asyncio.AbstractEventLoop, stop: StopRequest) -> None:
    async def scenario() -> None:
        # From another thread, so that it arrives while the loop sleeps, or at the latest right before.
        threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGTERM)).start()
        await asyncio.wait_for(stop.wait(StopLevel.GRACEFUL), 5)

    loop.run_until_complete(scenario())
    assert stop.level == StopLevel.GRACEFUL


@pytest.mark.parametrize("first", [[signal.SIGINT, signal.SIGINT], [signal.SIGQUIT]])
def test_another_int_interrupts_code_that_blocks_the_loop(
    first: list[signal.Signals], loop: asyncio.AbstractEventLoop, stop: StopRequest
) -> None:
    async def blocks() -> None:
        for number in first:
            os.kill(os.getpid(), number)
        assert stop.level == StopLevel.NONE  # The loop has had no chance to hear of them.
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)

    loop.run_until_complete(blocks())
    loop.run_until_complete(asyncio.wait_for(stop.wait(StopLevel.QUICK), 5))


def test_another_quit_interrupts_code_that_blocks_the_loop(loop: asyncio.AbstractEventLoop, stop: StopRequest) -> None:
    """The supervisor sends both when the time of the requests is over."""

    async def blocks() -> None:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGQUIT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGQUIT)

    async def does_not_block() -> None:
        await stop.wait(StopLevel.QUICK)
        signal.raise_signal(signal.SIGQUIT)

    loop.run_until_complete(blocks())
    loop.run_until_complete(asyncio.wait_for(does_not_block(), 5))


@for_each_row("is_supervised", [False, True])
@for_each_row(
    ("level", "number", "age", "after"),
    [
        (StopLevel.NONE, signal.SIGTERM, 0.0, StopLevel.ANNOUNCED),
        (StopLevel.NONE, signal.SIGINT, 0.0, StopLevel.ANNOUNCED),
        (StopLevel.NONE, signal.SIGQUIT, 0.0, StopLevel.QUICK),
        (StopLevel.NONE, signal.SIGUSR2, 0.0, StopLevel.HANDOVER),
        (StopLevel.ANNOUNCED, signal.SIGUSR2, 0.0, StopLevel.GRACEFUL),
        (StopLevel.ANNOUNCED, signal.SIGQUIT, 0.0, StopLevel.QUICK),
        (StopLevel.ANNOUNCED, signal.SIGTERM, 0.4, StopLevel.ANNOUNCED),
        (StopLevel.HANDOVER, signal.SIGTERM, 5.0, StopLevel.GRACEFUL),
        (StopLevel.GRACEFUL, signal.SIGTERM, 5.0, StopLevel.GRACEFUL),
        (StopLevel.GRACEFUL, signal.SIGINT, 5.0, StopLevel.QUICK),
    ],
)
def test_a_stop_with_a_delay_is_announced_first(
    level: StopLevel, number: signal.Signals, age: float, after: StopLevel, is_supervised: bool
) -> None:
    assert Escalation(delays=True, is_supervised=is_supervised).after(level, number, age) == after


def test_another_signal_skips_the_delay_but_in_a_worker_only_the_supervisors() -> None:
    """One that is sent to the whole group reaches a worker twice."""
    for number in (signal.SIGTERM, signal.SIGINT):
        assert Escalation(delays=True).after(StopLevel.ANNOUNCED, number, 0.6) == StopLevel.GRACEFUL
    supervised = Escalation(delays=True, is_supervised=True)
    assert supervised.after(StopLevel.ANNOUNCED, signal.SIGTERM, 0.6) == StopLevel.ANNOUNCED


def test_the_time_of_a_stop_counts_from_its_signal(loop: asyncio.AbstractEventLoop, stop: StopRequest) -> None:
    """And not from the moment at which a loop that was blocked notices it."""
    assert stop.left(1.0) == math.inf
    signal.raise_signal(signal.SIGTERM)
    assert (stop.level, 99.0 < stop.left(100.0) <= 100.0) == (StopLevel.NONE, True)
    stop.since -= 99.0
    assert stop.left(100.0) <= 1.0
    assert stop.left(10.0) == MIN_SECONDS


def test_the_previous_handlers_are_restored(loop: asyncio.AbstractEventLoop) -> None:
    before = [signal.getsignal(number) for number in HANDLED]
    restore = handle_signals(loop, StopRequest())
    assert all(signal.getsignal(number) != old for number, old in zip(HANDLED, before, strict=True))
    restore()
    assert [signal.getsignal(number) for number in HANDLED] == before


def test_handlers_that_python_cannot_know_become_the_default(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_handlers: list[Any] = []
    monkeypatch.setattr(signal, "signal", lambda number, handler: set_handlers.append(handler))
    handle_signals(loop, StopRequest())()
    assert set_handlers[4:] == [signal.SIG_DFL] * 4


def test_outside_the_main_thread_signals_are_left_alone(loop: asyncio.AbstractEventLoop) -> None:
    before = [signal.getsignal(number) for number in HANDLED]
    restored: list[Callable[[], None]] = []
    thread = threading.Thread(target=lambda: restored.append(handle_signals(loop, StopRequest())))
    thread.start()
    thread.join()
    restored[0]()
    assert [signal.getsignal(number) for number in HANDLED] == before


def test_level_never_falls() -> None:
    stop = StopRequest()
    stop.raise_level(StopLevel.QUICK)
    stop.raise_level(StopLevel.GRACEFUL)
    assert stop.level == StopLevel.QUICK


def test_a_signal_after_the_end_is_ignored(loop: asyncio.AbstractEventLoop) -> None:
    """Process managers repeat SIGTERM; the last one must not change the exit code."""
    restore = handle_signals(loop, StopRequest())
    try:
        loop.close()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.raise_signal(number)
    finally:
        restore()


def test_signals_wake_the_loop(loop: asyncio.AbstractEventLoop) -> None:
    """A handler that ran between Python's last look and the loop's sleep has left something to be read."""
    before = signal.set_wakeup_fd(-1)
    undo = wake_by_signals(loop)
    assert signal.set_wakeup_fd(-1) != -1
    undo()
    assert signal.set_wakeup_fd(before) == -1


def test_asyncio_reads_the_bytes_of_signals() -> None:
    loop = asyncio.new_event_loop()
    undo = wake_by_signals(loop)
    handler = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        # The loop would sleep for ever, were it not for the byte: nothing is scheduled.
        assert loop._selector.select(0)  # type: ignore[attr-defined]
    finally:
        signal.signal(signal.SIGTERM, handler)
        undo()
        loop.close()
