"""Starts that take too long, or that delay a newer configuration."""

import re

import pytest

from ianus.process.start_reports import FIRST_REPORT_SECONDS
from ianus.process.supervisor import start_limits
from ianus.process.supervisor.restarts import EARLY_EXIT_SECONDS
from ianus.process.supervisor.start_limits import OVERTAKE_SECONDS
from ianus.process.supervisor.worker_process import START_MARGIN_SECONDS
from tests.process.supervisor.harness import ABRT, KILL, TERM, Harness, served


def test_a_startup_that_blocks_the_event_loop_is_killed_at_its_limit(caplog: pytest.LogCaptureFixture) -> None:
    harness = Harness(1)
    harness.step()
    process = harness.last()
    harness.report(process, "starting\t4")
    harness.step(4 + START_MARGIN_SECONDS - 0.1)
    assert process.noted_signals == []
    harness.step(0.1)
    assert process.take_signals() == [ABRT]
    process.memory.written = "File main.py"
    harness.end(process, code=-6)
    assert harness.workers.restarts.failed
    assert "its event loop is blocked, and --timeout-lifespan-startup is over" in caplog.text
    assert "Python stacks of worker 1 (pid 100):\nFile main.py" in caplog.text


@pytest.mark.parametrize("line", ["starting\t0", "starting\tlong", "starting"])
def test_a_startup_may_have_no_limit(line: str) -> None:
    harness = Harness(1)
    harness.step()
    harness.report(harness.last(), line)
    harness.step(10000)
    assert harness.last().noted_signals == []


def start_limit(harness: Harness) -> float:
    settings = harness.settings
    return settings.timeout + settings.timeout_lifespan_startup


def test_a_new_configuration_that_hangs_is_killed_while_the_old_one_serves() -> None:
    harness = served(1)
    old = harness.spawned[-1]
    harness.change()
    hanging = harness.spawned[-1]
    assert hanging is not old
    harness.step(start_limit(harness) - 1)
    assert hanging.take_signals() == []
    harness.step(2)
    assert hanging.take_signals() == [ABRT]
    assert old.take_signals() == []
    harness.end(hanging, code=-ABRT)
    assert harness.workers.generations.pending is None
    assert list(harness.workers) == [old]


def test_a_newer_configuration_overtakes_a_start_that_hangs() -> None:
    """Once, it had to wait until the start was killed."""
    harness = served(1)
    harness.change()
    hanging = harness.spawned[-1]
    harness.change()
    harness.step(OVERTAKE_SECONDS + 0.1)
    assert hanging.take_signals() == [TERM]
    assert harness.starting() == [(0, 3)]
    harness.end(hanging, code=-TERM)
    harness.ready(harness.last())
    assert harness.serving() == [(0, 3)]


def test_a_reload_overtakes_the_first_start_that_hangs() -> None:
    harness = Harness(1)
    harness.step(60)
    hanging = harness.last()
    harness.change()
    assert hanging.take_signals() == [TERM]
    assert harness.starting() == [(0, 2)]


def test_a_start_that_takes_its_usual_time_is_not_overtaken() -> None:
    """Otherwise frequent changes would prevent every start."""
    harness = Harness(1)
    harness.step(20)
    harness.ready(harness.last())
    harness.change()
    starting = harness.last()
    harness.change()
    harness.step(19)
    assert starting.take_signals() == []
    harness.ready(starting)
    assert harness.serving() == [(0, 2)]


def test_a_restart_that_hangs_is_overtaken_while_others_serve() -> None:
    harness = served(2)
    harness.step(EARLY_EXIT_SECONDS)
    harness.end(harness.spawned[1], code=-KILL)
    hanging = harness.last()
    harness.change()
    harness.step(OVERTAKE_SECONDS + 0.1)
    assert hanging.take_signals() == [TERM]
    assert harness.starting() == [(1, 2)]


def test_the_old_configuration_is_kept_if_the_overtaking_one_fails() -> None:
    harness = served(2)
    harness.step(EARLY_EXIT_SECONDS)
    harness.end(harness.spawned[1], code=-KILL)
    hanging = harness.last()
    harness.change()
    harness.step(OVERTAKE_SECONDS + 0.1)
    harness.end(hanging, code=-TERM)
    harness.end(harness.last(), code=3)
    harness.step(1)
    assert harness.workers.generations.pending is None
    assert harness.starting() == [(1, 1)]


def test_a_long_start_is_reported_at_growing_intervals(caplog: pytest.LogCaptureFixture) -> None:
    """Once, the first start could wait for a database for ever without a word."""
    harness = Harness(1)
    harness.step(FIRST_REPORT_SECONDS - 0.1)
    process = harness.last()
    assert process.looks == 0
    process.memory.written = (
        'Stack (most recent call first):\n  File "/srv/main.py", line 4 in connect\n'
        '  File "<frozen importlib._bootstrap>", line 241 in _call_with_frames_removed\n'
        f'  File "{start_limits.__file__}", line 1 in load\n  File "/usr/bin/ianus", line 9 in <module>\n'
    )
    harness.step(90)
    assert process.looks == 3
    reports = [each.message for each in caplog.records if "still loading" in each.message]
    assert [re.findall(r"after (\d+) s: worker 1 \(pid 100\); the main", each) for each in reports] == [
        ["10"],
        ["30"],
        ["90"],
    ]
    assert reports[0].splitlines()[1:] == ['  File "/srv/main.py", line 4, in connect']


def test_an_event_loop_that_waits_is_not_reported_by_the_supervisor(caplog: pytest.LogCaptureFixture) -> None:
    harness = Harness(1)
    harness.step()
    harness.report(harness.last(), "starting\t0")
    harness.last().memory.written = '  File "/usr/lib/python3/selectors.py", line 468 in select\n'
    harness.last().memory.written += '  File "/usr/lib/python3/asyncio/base_events.py", line 1898 in _run_once\n'
    harness.step(60)
    assert "still" not in caplog.text
    harness.last().memory.written = '  File "/srv/main.py", line 7 in lifespan\n'
    harness.step(60)
    assert "application is still starting after" in caplog.text


def test_the_first_start_has_no_limit() -> None:
    harness = Harness(1)
    harness.step()
    harness.step(10 * start_limit(harness))
    assert harness.spawned[-1].take_signals() == []
