"""The watchdog, with clocks that are numbers."""

import threading
from pathlib import Path

import pytest

from ianus.gateway.threads.recording import RecordingWatchdog


@pytest.fixture
def watchdog() -> RecordingWatchdog:
    return RecordingWatchdog(successor=True)


def test_the_first_look_at_a_call_does_not_depose(watchdog: RecordingWatchdog) -> None:
    watchdog.start_call()
    watchdog.look(now=100.0, cpu=1.0)
    assert watchdog.state == "IN_CALL"


def test_a_blocked_leader_is_deposed_at_the_second_look(watchdog: RecordingWatchdog) -> None:
    call = watchdog.start_call()
    watchdog.look(now=100.0, cpu=1.0)
    watchdog.look(now=100.001, cpu=1.0004)
    assert watchdog.state == "DEPOSED"
    assert watchdog.successor_reason == "LEAD"
    assert not watchdog.end_call(call)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the states of threads are in Linux's /proc")
def test_a_leader_that_waits_for_a_processor_stays(watchdog: RecordingWatchdog) -> None:
    # This thread runs while it looks: only its clock stands still.
    watchdog.set_leader(threading.get_native_id())
    call = watchdog.start_call()
    watchdog.look(now=100.0, cpu=1.0)
    watchdog.look(now=100.1, cpu=1.0049)
    assert watchdog.state == "IN_CALL"
    assert watchdog.end_call(call)


def test_a_leader_that_computes_on_a_busy_machine_is_deposed_by_its_own_time(watchdog: RecordingWatchdog) -> None:
    watchdog.set_leader(threading.get_native_id())
    watchdog.start_call()
    watchdog.look(now=100.0, cpu=1.0)
    watchdog.look(now=100.1, cpu=1.0051)
    assert watchdog.state == "DEPOSED"


def test_a_leader_that_sleeps_is_deposed(watchdog: RecordingWatchdog) -> None:
    end = threading.Event()
    # A name with the characters around it in the kernel's line
    thread = threading.Thread(target=end.wait, name="a) R (b", daemon=True)
    thread.start()
    assert thread.native_id is not None
    state = Path(f"/proc/self/task/{thread.native_id}/stat")
    while state.exists() and ") S " not in state.read_text():
        pass
    watchdog.set_leader(thread.native_id)
    watchdog.start_call()
    watchdog.look(now=100.0, cpu=1.0)
    watchdog.look(now=100.001, cpu=1.0)
    end.set()
    thread.join()
    assert watchdog.state == "DEPOSED"


def test_a_computing_leader_is_deposed_after_a_few_milliseconds(watchdog: RecordingWatchdog) -> None:
    watchdog.start_call()
    watchdog.look(now=100.0, cpu=1.0)
    watchdog.look(now=100.0049, cpu=1.0049)
    assert watchdog.state == "IN_CALL"
    watchdog.look(now=100.0051, cpu=1.0051)
    assert watchdog.state == "DEPOSED"


def test_a_new_call_has_a_new_start(watchdog: RecordingWatchdog) -> None:
    call = watchdog.start_call()
    watchdog.look(now=100.0, cpu=1.0)
    assert watchdog.end_call(call)
    assert watchdog.state == "POLLING"
    watchdog.start_call()
    watchdog.look(now=100.5, cpu=1.0)
    assert watchdog.state == "IN_CALL"
    assert watchdog.successor_reason == "NOT_WOKEN"


def test_a_leader_without_a_successor_stays() -> None:
    watchdog = RecordingWatchdog(successor=False)
    call = watchdog.start_call()
    watchdog.look(now=100.0, cpu=1.0)
    watchdog.look(now=200.0, cpu=1.0)
    assert watchdog.state == "IN_CALL"
    assert watchdog.end_call(call)


def test_a_call_wakes_a_sleeping_watchdog_once(watchdog: RecordingWatchdog) -> None:
    watchdog.start_call()
    assert not watchdog.hears_alarm()
    watchdog.fall_asleep()
    watchdog.start_call()
    watchdog.start_call()
    assert watchdog.hears_alarm()
    assert not watchdog.hears_alarm()
