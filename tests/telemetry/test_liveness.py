"""When a process counts as stuck, by a clock of the test's: no thread runs here but in the last tests."""

import math
import mmap
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from ianus.process.scoreboard import SIZE, Scoreboard
from ianus.runtime.waker import Waker
from ianus.telemetry.in_flight import ScoreboardMemory
from ianus.telemetry.liveness import LivenessThread
from tests.helpers import WAIT_SECONDS, until


class Judged:
    """A process as a LivenessThread sees it: its replies to pings, its reports, its clock."""

    def __init__(self, timeout: float = 30.0, **more: float) -> None:
        self.scoreboard = Scoreboard()
        self.waker = Waker()
        self.heard, self.channel = os.pipe()
        os.set_blocking(self.heard, False)
        self.pulse = LivenessThread()
        self.now = 1000.0
        self.looks = 0
        self.pulse.start_monitoring(
            self.waker,
            shared=ScoreboardMemory(mmap.mmap(self.scoreboard.fd, SIZE)),
            timeout=timeout,
            channel=self.channel,
            report=b"stuck\tit sleeps",
            **more,  # type: ignore[arg-type]
        )
        self.next = self.pulse.tick(self.now)

    def pass_time(self, seconds: float, *, serves: bool) -> None:
        """Looks whenever a look is due, and takes notice of pings or not."""
        until = self.now + seconds
        while self.next <= until:
            self.now = self.next
            self.next = self.pulse.tick(self.now)
            self.looks += 1
            if serves and self.pinged():
                self.waker.acknowledge_wake()
        self.now = until

    def pinged(self) -> bool:
        return bool(select.select([self.waker.fd], [], [], 0)[0])

    def told(self) -> list[str]:
        try:
            return os.read(self.heard, 4096).decode().splitlines()
        except BlockingIOError:
            return []

    def close(self) -> None:
        self.scoreboard.close()
        os.close(self.heard)
        os.close(self.channel)


@pytest.fixture
def judged() -> Iterator[Judged]:
    judged = Judged()
    yield judged
    judged.close()


def test_who_takes_notice_is_never_stuck(judged: Judged) -> None:
    judged.pass_time(100_000.0, serves=True)
    assert judged.told() == []


def test_an_idle_process_is_looked_at_three_times_within_the_limit(judged: Judged) -> None:
    judged.pass_time(3000.0, serves=True)
    assert judged.looks == 300


def test_the_heart_beats_whatever_else_is_stuck(judged: Judged) -> None:
    for _ in range(30):
        judged.pass_time(10.0, serves=False)
        assert judged.now - judged.scoreboard.last_heartbeat() <= 10.0
    judged.waker.close()
    judged.pass_time(100.0, serves=False)
    assert judged.now - judged.scoreboard.last_heartbeat() <= 10.0


def test_without_a_limit_it_beats_once_and_sleeps() -> None:
    judged = Judged(0.0)
    assert judged.scoreboard.last_heartbeat() == 1000.0
    assert judged.next == math.inf
    assert not judged.pinged()
    judged.close()


def test_nobody_is_stuck_before_the_limit(judged: Judged) -> None:
    judged.pass_time(29.9, serves=False)
    assert judged.told() == []
    judged.waker.acknowledge_wake()
    judged.pass_time(29.9, serves=False)
    assert judged.told() == []


def test_who_is_stuck_is_told_of_once(judged: Judged) -> None:
    judged.pass_time(30.0, serves=False)
    assert judged.told() == ["stuck\tit sleeps for 30 s"]
    judged.pass_time(1000.0, serves=False)
    assert judged.told() == []


def test_who_comes_to_and_is_stuck_again_is_told_of_again(judged: Judged) -> None:
    judged.pass_time(40.0, serves=False)
    assert len(judged.told()) == 1
    judged.waker.acknowledge_wake()
    judged.pass_time(100.0, serves=True)
    assert judged.told() == []
    judged.pass_time(40.0, serves=False)
    assert judged.told() == ["stuck\tit sleeps for 30 s"]


def test_time_in_which_nobody_watched_does_not_count(judged: Judged) -> None:
    """The process was stopped, or the machine slept: the loop had no chance either."""
    judged.pass_time(25.0, serves=False)
    judged.now += 3600.0
    judged.next = judged.pulse.tick(judged.now)
    judged.pass_time(29.9, serves=False)
    assert judged.told() == []
    judged.pass_time(0.2, serves=False)
    assert judged.told() == ["stuck\tit sleeps for 30 s"]


def test_one_ping_is_out_at_a_time(judged: Judged) -> None:
    judged.pass_time(1000.0, serves=False)
    assert os.eventfd_read(judged.waker.fd) == 1


def test_nothing_is_judged_behind_the_end(judged: Judged) -> None:
    judged.pass_time(15.0, serves=True)
    judged.pulse.stop_monitoring()
    judged.pass_time(1000.0, serves=False)
    assert judged.told() == []


def test_a_reactor_that_is_closed_is_not_stuck(judged: Judged) -> None:
    judged.waker.acknowledge_wake()
    judged.waker.close()
    judged.pass_time(1000.0, serves=False)
    assert judged.told() == []
    assert not judged.pinged()


def test_a_supervisor_that_does_not_read_holds_nobody_up(judged: Judged) -> None:
    os.set_blocking(judged.channel, False)
    while True:
        try:
            os.write(judged.channel, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(judged.channel, True)
    judged.pass_time(100.0, serves=False)


# --- For --watch-loop ---


@pytest.fixture
def watched() -> Iterator[Judged]:
    signals: list[int] = []
    number = signal.SIGRTMAX
    before = signal.signal(number, lambda number, frame: signals.append(number))
    alarm = os.eventfd(0, os.EFD_NONBLOCK)
    judged = Judged(limit=0.1, thread=threading.get_ident(), signal=number, alarm=alarm)
    judged.signals, judged.alarm = signals, alarm  # type: ignore[attr-defined]
    yield judged
    judged.close()
    os.close(alarm)
    signal.signal(number, before)


def alarms(watched: Judged) -> tuple[int, int]:
    """Signals that the thread got, and alarms, since the last time."""
    signals = watched.signals  # type: ignore[attr-defined]
    count = len(signals)
    signals.clear()
    try:
        return count, os.eventfd_read(watched.alarm)  # type: ignore[attr-defined]
    except BlockingIOError:
        return count, 0


def test_who_is_quick_is_not_asked(watched: Judged) -> None:
    watched.pass_time(10.0, serves=True)
    watched.pass_time(0.09, serves=False)
    watched.waker.acknowledge_wake()
    watched.pass_time(10.0, serves=True)
    assert alarms(watched) == (0, 0)


def test_who_blocks_is_asked_once_for_each_time(watched: Judged) -> None:
    watched.pass_time(1.0, serves=True)
    for _ in range(2):
        began = watched.now
        watched.pass_time(5.0, serves=False)
        assert alarms(watched) == (1, 1)
        # At the last ping before, or the first one since.
        assert abs(watched.pulse.loop_blocked_since() - began) <= 0.05 + 1e-6
        watched.pass_time(25.0, serves=True)
    assert watched.told() == []


def test_both_limits_hold_at_once(watched: Judged) -> None:
    watched.pass_time(31.0, serves=False)
    assert alarms(watched) == (1, 1)
    assert watched.told() == ["stuck\tit sleeps for 30 s"]


# --- The thread ---


def test_the_thread_looks_by_itself() -> None:
    judged = Judged(0.03)
    judged.pulse.start()
    (line,) = until(judged.told)
    assert line.startswith("stuck\tit sleeps for ")
    judged.waker.acknowledge_wake()
    assert until(judged.told)
    beat = judged.scoreboard.last_heartbeat()
    assert until(lambda: judged.scoreboard.last_heartbeat() > beat)
    judged.pulse.close()
    beat = judged.scoreboard.last_heartbeat()
    judged.pulse.close()
    assert judged.scoreboard.last_heartbeat() == beat
    judged.close()


def test_threads_end_with_their_pulses() -> None:
    def threads() -> int:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208

    before = threads()
    pulses = [LivenessThread() for _ in range(3)]
    for pulse in pulses:
        pulse.start()
    assert threads() == before + 3
    del pulse
    pulses.clear()
    # The system takes a moment to forget a thread that was joined.
    assert until(lambda: threads() == before, timeout=WAIT_SECONDS)


# --- When the supervisor is gone ---

# This process prints signals that ask it to stop, and does not obey them.
DEAF = """
import os, signal
from ianus.telemetry.liveness import LivenessThread
for number in (signal.SIGTERM, signal.SIGQUIT):
    signal.signal(number, lambda number, frame: print(signal.Signals(number).name, end=" ", flush=True))
lifeline, held = os.pipe()
pulse = LivenessThread(lifeline, grace=GRACE)
pulse.tick(1000.0)
os.close(held)
for now in (1001.0, 1031.9, 1032.0, 1041.9):
    print(now, end=" ", flush=True)
    pulse.tick(now)
print("and then", flush=True)
pulse.tick(1042.0)
"""


@pytest.mark.parametrize(
    ("grace", "code", "told"),
    [
        (31.0, -signal.SIGKILL, "1001.0 SIGTERM 1031.9 1032.0 SIGQUIT 1041.9 and then\n"),
        (0.0, 0, "1001.0 SIGTERM 1031.9 1032.0 1041.9 and then\n"),
    ],
)
def test_who_does_not_leave_is_killed_in_the_end(grace: float, code: int, told: str) -> None:
    command = [sys.executable, "-c", DEAF.replace("GRACE", str(grace))]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS)
    assert (ended.returncode, ended.stdout) == (code, told), ended.stderr
