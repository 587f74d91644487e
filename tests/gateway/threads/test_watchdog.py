"""The watchdog, with clocks that are numbers."""

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
