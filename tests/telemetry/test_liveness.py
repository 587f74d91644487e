"""The conditions under which a process counts as stuck, with a fake clock. Only the last tests start a thread."""

import math
import mmap
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from ianus.process.scoreboard import SIZE, Scoreboard
from ianus.runtime.mapped_memory import MappedMemory
from ianus.runtime.waker import Waker
from ianus.telemetry.liveness import LivenessThread
from tests.helpers import WAIT_SECONDS, until


class Monitored:
    """A process as a LivenessThread sees it: its replies to pings, its reports, its clock."""

    def __init__(self, timeout: float = 30.0, **more: float) -> None:
        self.scoreboard = Scoreboard()
        self.waker = Waker()
        self.reader, self.channel = os.pipe()
        os.set_blocking(self.reader, False)
        self.thread = LivenessThread()
        self.now = 1000.0
        self.looks = 0
        self.thread.start_monitoring(
            self.waker,
            shared=MappedMemory(mmap.mmap(self.scoreboard.fd, SIZE)),
            timeout=timeout,
            channel=self.channel,
            report=b"stuck\tit sleeps",
            **more,  # type: ignore[arg-type]
        )
        self.next = self.thread.tick(self.now)

    def pass_time(self, seconds: float, *, serves: bool) -> None:
        """Runs each check at its time. serves: the process replies to pings."""
        until = self.now + seconds
        while self.next <= until:
            self.now = self.next
            self.next = self.thread.tick(self.now)
            self.looks += 1
            if serves and self.pinged():
                self.waker.acknowledge_wake()
        self.now = until

    def pinged(self) -> bool:
        return bool(select.select([self.waker.fd], [], [], 0)[0])

    def reports(self) -> list[str]:
        try:
            return os.read(self.reader, 4096).decode().splitlines()
        except BlockingIOError:
            return []

    def close(self) -> None:
        self.scoreboard.close()
        os.close(self.reader)
        os.close(self.channel)


@pytest.fixture
def monitored() -> Iterator[Monitored]:
    monitored = Monitored()
    yield monitored
    monitored.close()


def test_a_process_that_replies_is_never_stuck(monitored: Monitored) -> None:
    monitored.pass_time(100_000.0, serves=True)
    assert monitored.reports() == []


def test_an_idle_process_is_looked_at_three_times_within_the_limit(monitored: Monitored) -> None:
    monitored.pass_time(3000.0, serves=True)
    assert monitored.looks == 300


def test_heartbeats_continue_while_the_loop_is_stuck(monitored: Monitored) -> None:
    for _ in range(30):
        monitored.pass_time(10.0, serves=False)
        assert monitored.now - monitored.scoreboard.last_heartbeat() <= 10.0
    monitored.waker.close()
    monitored.pass_time(100.0, serves=False)
    assert monitored.now - monitored.scoreboard.last_heartbeat() <= 10.0


def test_a_process_that_stops_before_the_first_look_has_had_a_heartbeat() -> None:
    scoreboard, before = Scoreboard(), time.monotonic()
    shared = MappedMemory(mmap.mmap(scoreboard.fd, SIZE))
    LivenessThread().start_monitoring(Waker(), shared=shared, timeout=30.0)
    assert before <= scoreboard.last_heartbeat() <= time.monotonic()
    scoreboard.close()


def test_without_a_limit_it_beats_once_and_sleeps() -> None:
    monitored = Monitored(0.0)
    assert monitored.scoreboard.last_heartbeat() == 1000.0
    assert monitored.next == math.inf
    assert not monitored.pinged()
    monitored.close()


def test_a_process_is_not_stuck_before_the_limit(monitored: Monitored) -> None:
    monitored.pass_time(29.9, serves=False)
    assert monitored.reports() == []
    monitored.waker.acknowledge_wake()
    monitored.pass_time(29.9, serves=False)
    assert monitored.reports() == []


def test_a_stuck_process_is_reported_once(monitored: Monitored) -> None:
    monitored.pass_time(30.0, serves=False)
    assert monitored.reports() == ["stuck\tit sleeps for 30 s"]
    monitored.pass_time(1000.0, serves=False)
    assert monitored.reports() == []


def test_a_process_that_recovers_and_is_stuck_again_is_reported_again(monitored: Monitored) -> None:
    monitored.pass_time(40.0, serves=False)
    assert len(monitored.reports()) == 1
    monitored.waker.acknowledge_wake()
    monitored.pass_time(100.0, serves=True)
    assert monitored.reports() == []
    monitored.pass_time(40.0, serves=False)
    assert monitored.reports() == ["stuck\tit sleeps for 30 s"]


def test_the_time_of_a_stopped_process_does_not_count(monitored: Monitored) -> None:
    """The process was stopped, or the machine slept: the loop had no chance either."""
    monitored.pass_time(25.0, serves=False)
    monitored.now += 3600.0
    monitored.next = monitored.thread.tick(monitored.now)
    monitored.pass_time(29.9, serves=False)
    assert monitored.reports() == []
    monitored.pass_time(0.2, serves=False)
    assert monitored.reports() == ["stuck\tit sleeps for 30 s"]


def test_at_most_one_ping_is_unanswered(monitored: Monitored) -> None:
    monitored.pass_time(1000.0, serves=False)
    assert os.eventfd_read(monitored.waker.fd) == 1


def test_nothing_is_reported_after_the_end_of_monitoring(monitored: Monitored) -> None:
    monitored.pass_time(15.0, serves=True)
    monitored.thread.stop_monitoring()
    monitored.pass_time(1000.0, serves=False)
    assert monitored.reports() == []


def test_a_reactor_that_is_closed_is_not_stuck(monitored: Monitored) -> None:
    monitored.waker.acknowledge_wake()
    monitored.waker.close()
    monitored.pass_time(1000.0, serves=False)
    assert monitored.reports() == []
    assert not monitored.pinged()


def test_a_supervisor_that_does_not_read_does_not_block_the_thread(monitored: Monitored) -> None:
    os.set_blocking(monitored.channel, False)
    while True:
        try:
            os.write(monitored.channel, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(monitored.channel, True)
    monitored.pass_time(100.0, serves=False)


# --- For --watch-loop ---


@pytest.fixture
def watched() -> Iterator[Monitored]:
    signals: list[int] = []
    number = signal.SIGRTMAX
    before = signal.signal(number, lambda number, frame: signals.append(number))
    alarm = os.eventfd(0, os.EFD_NONBLOCK)
    monitored = Monitored(limit=0.1, thread=threading.get_ident(), signal=number, alarm=alarm)
    monitored.signals, monitored.alarm = signals, alarm  # type: ignore[attr-defined]
    yield monitored
    monitored.close()
    os.close(alarm)
    signal.signal(number, before)


def alarms(watched: Monitored) -> tuple[int, int]:
    """Signals that the thread got, and alarms, since the last time."""
    signals = watched.signals  # type: ignore[attr-defined]
    count = len(signals)
    signals.clear()
    try:
        return count, os.eventfd_read(watched.alarm)  # type: ignore[attr-defined]
    except BlockingIOError:
        return count, 0


def test_a_loop_that_replies_in_time_gets_no_signal(watched: Monitored) -> None:
    watched.pass_time(10.0, serves=True)
    watched.pass_time(0.09, serves=False)
    watched.waker.acknowledge_wake()
    watched.pass_time(10.0, serves=True)
    assert alarms(watched) == (0, 0)


def test_each_block_of_the_loop_causes_one_signal(watched: Monitored) -> None:
    watched.pass_time(1.0, serves=True)
    for _ in range(2):
        began = watched.now
        watched.pass_time(5.0, serves=False)
        assert alarms(watched) == (1, 1)
        # At the last ping before, or the first one since.
        assert abs(watched.thread.loop_blocked_since() - began) <= 0.05 + 1e-6
        watched.pass_time(25.0, serves=True)
    assert watched.reports() == []


def test_both_limits_hold_at_once(watched: Monitored) -> None:
    watched.pass_time(31.0, serves=False)
    assert alarms(watched) == (1, 1)
    assert watched.reports() == ["stuck\tit sleeps for 30 s"]


# --- The thread ---


def test_the_thread_looks_by_itself() -> None:
    monitored = Monitored(0.03)
    monitored.thread.start()
    (line,) = until(monitored.reports)
    assert line.startswith("stuck\tit sleeps for ")
    monitored.waker.acknowledge_wake()
    assert until(monitored.reports)
    beat = monitored.scoreboard.last_heartbeat()
    assert until(lambda: monitored.scoreboard.last_heartbeat() > beat)
    monitored.thread.close()
    beat = monitored.scoreboard.last_heartbeat()
    monitored.thread.close()
    assert monitored.scoreboard.last_heartbeat() == beat
    monitored.close()


def test_threads_end_with_their_objects() -> None:
    def threads() -> int:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208

    before = threads()
    monitors = [LivenessThread() for _ in range(3)]
    for thread in monitors:
        thread.start()
    assert threads() == before + 3
    del thread
    monitors.clear()
    # The system takes a moment to forget a thread that was joined.
    assert until(lambda: threads() == before, timeout=WAIT_SECONDS)


# --- When the supervisor is gone ---

# This process prints signals that ask it to stop, and does not obey them.
DISOBEDIENT = """
import os, signal
from ianus.telemetry.liveness import LivenessThread
for number in (signal.SIGTERM, signal.SIGQUIT):
    signal.signal(number, lambda number, frame: print(signal.Signals(number).name, end=" ", flush=True))
lifeline, held = os.pipe()
thread = LivenessThread(lifeline, quit_after=QUIT_AFTER, kill_after=41.0)
thread.tick(1000.0)
os.close(held)
for now in (1001.0, 1031.9, 1032.0, 1041.9):
    print(now, end=" ", flush=True)
    thread.tick(now)
print("and then", flush=True)
thread.tick(1042.0)
"""


@pytest.mark.parametrize(
    ("quit_after", "code", "output"),
    [
        (31.0, -signal.SIGKILL, "1001.0 SIGTERM 1031.9 1032.0 SIGQUIT 1041.9 and then\n"),
        (math.inf, 0, "1001.0 SIGTERM 1031.9 1032.0 1041.9 and then\n"),
    ],
)
def test_a_process_that_does_not_stop_is_killed_in_the_end(quit_after: float, code: int, output: str) -> None:
    command = [sys.executable, "-c", DISOBEDIENT.replace("QUIT_AFTER", f"float('{quit_after}')")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS)
    assert (ended.returncode, ended.stdout) == (code, output), ended.stderr
