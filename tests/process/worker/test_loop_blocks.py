"""Reports of callbacks that block the event loop: readable stacks, and one warning for each block."""

import asyncio
import faulthandler
import logging
import os
import re
import signal
import tempfile
from time import monotonic
from typing import Any

import pytest

from ianus.errors import PACKAGE_DIR
from ianus.process.worker.loop_blocks import LoopBlockReporter, readable
from tests.helpers import WAIT_SECONDS
from tests.rows import for_each_row


def dumped() -> str:
    """The stack of here, as faulthandler writes it."""
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file, all_threads=False)
        file.seek(0)
        return file.read().decode()


def test_the_innermost_line_is_the_last_one() -> None:
    *_, place, line = readable(dumped()).splitlines()
    assert place.endswith(", in dumped")
    assert line.strip() == "faulthandler.dump_traceback(file, all_threads=False)"


def test_frames_of_the_server_are_omitted() -> None:
    text = (
        "Stack (most recent call first):\n"
        '  File "/srv/library.py", line 2 in deep\n'
        '  File "/srv/app with spaces.py", line 1 in app\n'
        f'  File "{asyncio.events.__file__}", line 80 in _run\n'
        f'  File "{asyncio.base_events.__file__}", line 607 in run_forever\n'
        f'  File "{PACKAGE_DIR}__main__.py", line 59 in <module>\n'
    )
    assert readable(text).splitlines() == [
        '  File "/srv/app with spaces.py", line 1, in app',
        '  File "/srv/library.py", line 2, in deep',
    ]


@for_each_row(
    "text",
    [
        "",
        "Stack (most recent call first):\n  <no Python frame>\n",
        f'Stack (most recent call first):\n  File "{PACKAGE_DIR}gateway/asgi/coroutines.py", line 21 in awaiting\n',
        "\0\xff nonsense",
    ],
)
def test_there_may_be_nothing_of_the_application_in_it(text: str) -> None:
    assert readable(text) == "  (in no code of the application)"


class StandInThread:
    """Plays the native thread."""

    def __init__(self) -> None:
        self.since = 0.0

    def catch(self, reporter: LoopBlockReporter, since: float) -> None:
        self.since = since
        signal.raise_signal(reporter.signal)
        os.eventfd_write(reporter.alarm, 1)

    def loop_blocked_since(self) -> float:
        return self.since


def test_each_block_is_reported_once_with_its_own_stack(caplog: pytest.LogCaptureFixture) -> None:
    thread: Any = StandInThread()

    def first_culprit(reporter: LoopBlockReporter) -> None:
        thread.catch(reporter, monotonic() - 2.0)

    def second_culprit(reporter: LoopBlockReporter) -> None:
        thread.catch(reporter, monotonic() - 0.25)

    async def main() -> None:
        reporter = LoopBlockReporter(thread, 100)
        for culprit in (first_culprit, second_culprit):
            before = len(caplog.records)
            culprit(reporter)
            assert len(caplog.records) == before
            while len(caplog.records) == before:  # noqa: ASYNC110  (the log has no event to wait for)
                await asyncio.sleep(0)
        reporter.close()

    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    asyncio.run(main())
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    first, second = caplog.records
    assert (first.name, first.levelno) == ("ianus.error", logging.WARNING)
    told = re.match(r"event loop blocked for (\S+) s \(--watch-loop 100\):\n", first.getMessage())
    assert told is not None
    assert 2.0 <= float(told[1]) < WAIT_SECONDS
    assert "first_culprit" in first.getMessage()
    assert second.getMessage().startswith("event loop blocked for ")
    assert "first_culprit" not in second.getMessage()
    assert ", in second_culprit\n" in second.getMessage()


def test_signals_with_a_handler_are_not_used() -> None:
    handled: list[int] = []
    taken = (signal.SIGRTMAX, signal.SIGRTMAX - 1)
    before = {number: signal.signal(number, lambda number, frame: handled.append(number)) for number in taken}

    async def main() -> None:
        reporter = LoopBlockReporter(StandInThread(), 100)  # type: ignore[arg-type]
        assert reporter.signal == signal.SIGRTMAX - 2
        signal.raise_signal(signal.SIGRTMAX)
        reporter.close()

    asyncio.run(main())
    assert handled == [signal.SIGRTMAX]
    for number, handler in before.items():
        signal.signal(number, handler)
