"""Reports of calls that do not return: the request, its age, the stack; and each once."""

import asyncio
import logging
import re
import sys
import threading
from collections.abc import Iterator

import pytest

from ianus.process.worker import slow_calls
from ianus.process.worker.slow_calls import SlowCallReporter

Call = tuple[str, float, int]


class StandIn:
    """Plays a pool."""

    def __init__(self) -> None:
        self.now: list[Call] = []
        self.looks = 0

    def running_calls(self, *, conversations: bool) -> list[Call]:
        assert not conversations
        self.looks += 1
        return self.now


@pytest.fixture
def pool() -> StandIn:
    return StandIn()


@pytest.fixture
def report(pool: StandIn, monkeypatch: pytest.MonkeyPatch) -> SlowCallReporter:
    monkeypatch.setattr(slow_calls, "monotonic", lambda: clock[0])
    clock[0] = 1000.0
    return SlowCallReporter(pool, 30.0)  # type: ignore[arg-type]


clock = [0.0]


@pytest.fixture
def blocked() -> Iterator[int]:
    """A thread that is in wait_for_the_database()."""
    inside, release = threading.Event(), threading.Event()

    def wait_for_the_database() -> None:
        inside.set()
        release.wait()

    thread = threading.Thread(target=wait_for_the_database)
    thread.start()
    inside.wait()
    assert thread.ident is not None
    yield thread.ident
    release.set()
    thread.join()


def test_the_request_its_age_and_the_stack_are_reported(
    pool: StandIn, report: SlowCallReporter, blocked: int, caplog: pytest.LogCaptureFixture
) -> None:
    pool.now = [("GET /report HTTP/1.1", 31.25, blocked)]
    report.check()
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("ianus.error", logging.WARNING)
    first, *stack = record.getMessage().splitlines()
    assert (
        first
        == "WSGI call has not returned after 31.2 s (--stuck-report-after 30): GET /report HTTP/1.1; it is here now:"
    )
    # No frames of the thread's start, which are the same in each report.
    assert stack[0].startswith('  File "')
    assert stack[0].endswith(", in wait_for_the_database")
    assert stack[1].strip() == "release.wait()"


def test_a_shorter_call_is_not_reported(
    pool: StandIn, report: SlowCallReporter, blocked: int, caplog: pytest.LogCaptureFixture
) -> None:
    pool.now = [("GET /", 29.9, blocked)]
    report.check()
    assert caplog.records == []


def test_each_call_of_a_thread_is_reported_once(
    pool: StandIn, report: SlowCallReporter, blocked: int, caplog: pytest.LogCaptureFixture
) -> None:
    for age in (30.0, 35.0, 100.0):
        pool.now = [("GET /one", age, blocked)]
        clock[0] = 1000.0 + age
        report.check()
    assert len(caplog.records) == 1
    # It has returned right after the last check, and another one has started.
    pool.now = [("GET /two", 30.0, blocked)]
    clock[0] = 1130.0
    report.check()
    assert [re.findall(r"GET (/\w+);", record.getMessage()) for record in caplog.records] == [["/one"], ["/two"]]
    pool.now = []
    report.check()
    pool.now = [("GET /three", 30.0, blocked)]
    report.check()
    assert len(caplog.records) == 3


def test_a_thread_without_python_code_is_reported_too(
    pool: StandIn, report: SlowCallReporter, caplog: pytest.LogCaptureFixture
) -> None:
    pool.now = [("GET /", 30.0, max(sys._current_frames()) + 1)]
    report.check()
    assert (
        caplog.records[0].getMessage().endswith("it is here now:\n  (no Python code, as while it waits for its client)")
    )


def test_calls_are_checked_four_times_within_the_limit() -> None:
    async def main() -> None:
        pool = StandIn()
        loop = asyncio.get_running_loop()
        ten = loop.create_future()
        naps: list[float] = []

        async def sleep(seconds: float) -> None:
            naps.append(seconds)
            if len(naps) == 10:
                ten.set_result(None)
            await asyncio.sleep(0)

        for limit, period in ((30.0, slow_calls.MAX_PERIOD_SECONDS), (2.0, 0.5)):
            ten, naps = loop.create_future(), []
            task = asyncio.create_task(SlowCallReporter(pool, limit, sleep).run())  # type: ignore[arg-type]
            await ten
            task.cancel()
            assert naps[:10] == [period] * 10
        assert pool.looks >= 18

    asyncio.run(main())
