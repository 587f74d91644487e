"""The steps of workers: starts, reports and stops."""

import signal
from pathlib import Path

import pytest

from ianus.process.supervisor.certificate_changes import SETTLE_SECONDS
from ianus.process.tls_files import read_tls_files
from ianus.settings.schema import Settings
from tests.acceptor.tls.files import write_pair
from tests.process.supervisor.harness import KILL, QUIT, REOPEN, REPLACED, TERM, Harness, served
from tests.rows import for_each_row


def test_the_first_worker_starts_alone_and_then_all_others() -> None:
    harness = Harness(3)
    harness.step()
    assert harness.starting() == [(0, 1)]
    harness.ready(harness.spawned[0])
    assert harness.serving() == [(0, 1)]
    assert harness.starting() == [(1, 1), (2, 1)]
    assert not harness.workers.restarts.has_started
    harness.ready(harness.spawned[2], harness.spawned[1])
    assert harness.workers.restarts.has_started
    assert not harness.workers.restarts.failed
    assert harness.workers.ready_facts == ["main:app (asgi3)", "loop asyncio"]


def test_no_worker_starts_before_the_template_is_loaded() -> None:
    harness = Harness(2)
    harness.waiting = True
    harness.step(10)
    assert harness.spawned == []
    harness.waiting = False
    harness.step()
    assert harness.starting() == [(0, 1)]


@for_each_row("line", ["stuck\tit is", "recycle\tit has to be", "nonsense", "", "closing"])
def test_other_reports_of_a_starting_worker_are_ignored(line: str) -> None:
    harness = Harness(1)
    harness.step()
    harness.report(harness.last(), line)
    assert harness.last().noted_signals == []
    harness.ready(harness.last())
    assert harness.serving() == [(0, 1)]


@for_each_row("line", ["ready", "ready\tmain:app", "recycle", "stuck", "closing", "\t\t", "\ufffd"])
def test_invalid_reports_do_not_affect_other_workers(line: str) -> None:
    """An application may write to descriptors that it does not know."""
    harness = served(2)
    harness.report(harness.spawned[0], line)
    assert harness.workers.ready_facts == ["main:app (asgi3)", "loop asyncio"]
    assert harness.spawned[1].noted_signals == []


def test_a_ready_report_may_be_empty() -> None:
    harness = Harness(1)
    harness.step()
    harness.report(harness.last(), "ready")
    assert harness.serving() == [(0, 1)]
    assert harness.workers.ready_facts == [""]


def test_no_worker_starts_while_all_stop() -> None:
    harness = served(2)
    harness.workers.start_generation(harness.generation(3))
    harness.workers.stop(harness.now, successor=False)
    harness.end(harness.spawned[0], code=1)
    harness.step(100)
    assert len(harness.spawned) == 2


def test_replaced_workers_get_sigterm_when_the_server_stops() -> None:
    harness = served(1)
    harness.change()
    harness.ready(harness.last())
    harness.workers.stop(harness.now, successor=False)
    assert [each.noted_signals for each in harness.spawned] == [[REPLACED, TERM], [TERM]]


def test_starting_workers_get_signals_when_they_are_ready() -> None:
    harness = Harness(2)
    harness.step()
    harness.ready(harness.last())
    harness.workers.send_signal(REOPEN)
    assert [each.noted_signals for each in harness.spawned] == [[REOPEN], []]
    harness.ready(harness.last())
    assert [each.noted_signals for each in harness.spawned] == [[REOPEN], [REOPEN]]


def test_a_reload_is_settled_when_all_workers_are_replaced() -> None:
    harness = served(2)
    assert harness.workers.is_settled()
    harness.change()
    assert not harness.workers.is_settled()
    harness.ready(harness.last())
    assert not harness.workers.is_settled(), "the second worker has the old configuration"
    harness.replacements()
    assert harness.workers.is_settled()


def test_a_reload_is_settled_when_the_new_configuration_fails() -> None:
    harness = served(2)
    harness.change()
    harness.end(harness.last(), code=3)
    assert harness.workers.is_settled()
    assert harness.serving() == [(0, 1), (1, 1)]


def test_workers_have_progress_while_one_serves_or_starts() -> None:
    harness = Harness(1)
    assert harness.workers.has_progress(), "the start has limits of its own"
    harness = served(1)
    harness.step(20)
    harness.end(harness.last(), code=1)
    assert harness.workers.has_progress(), "its replacement is starting"
    for _ in range(3):
        harness.end(harness.last(), code=3)
        assert not harness.workers.has_progress(), "the next start is delayed"
        harness.step(20)
    assert harness.workers.has_progress()
    harness.workers.scale_to_zero(harness.now)
    assert harness.workers.has_progress(), "no worker is wanted"


def test_a_worker_that_is_being_killed_has_no_progress() -> None:
    harness = served(1)
    harness.report(harness.last(), "stuck\tit hangs")
    assert not harness.workers.has_progress()


# --- The delay before a stop ---


def delayed(count: int = 3) -> Harness:
    """Returns workers whose stop is announced, of which the last one starts."""
    harness = served(count - 1)
    harness.workers.resize(1)
    harness.step()
    harness.workers.stop(harness.now, successor=False, is_delayed=True)
    harness.step()
    return harness


def test_workers_that_serve_continue_in_the_delay_of_a_stop() -> None:
    harness = delayed()
    assert harness.workers.serving_slots() == {0, 1}
    assert harness.last().take_signals() == [TERM], "the start is abandoned"
    harness.end(harness.last(), code=-TERM)
    harness.step(5)
    assert harness.workers.serving_slots() == {0, 1}
    assert len(harness.spawned) == 3, "no other one starts"
    harness.workers.end_delay()
    assert harness.workers.serving_slots() == set()


def test_connections_are_steered_to_the_others_after_a_crash_in_the_delay() -> None:
    harness = delayed()
    assert harness.sockets.steered == [0, 1]
    harness.end(harness.spawned[0], code=-KILL)
    assert harness.workers.serving_slots() == {1}
    assert harness.sockets.steered == [1]


def test_a_worker_that_drains_before_the_end_of_the_delay_does_not_serve() -> None:
    harness = delayed()
    harness.report(harness.spawned[1], "draining")
    assert harness.workers.serving_slots() == {0}
    assert harness.sockets.steered == [0]
    harness.report(harness.spawned[1], "draining")
    harness.report(harness.last(), "draining")
    assert harness.workers.serving_slots() == {0}
    harness.end(harness.spawned[1])


@pytest.mark.parametrize("number", [QUIT, KILL])
def test_an_urgent_stop_ends_the_delay(number: signal.Signals) -> None:
    harness = delayed()
    harness.workers.stop_now(number, harness.now)
    assert harness.workers.serving_slots() == set()


def test_changed_certificates_that_a_worker_must_not_read_replace_all_workers(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    write_pair(certificate, key)
    settings = Settings(ssl_certfile=(str(certificate),), ssl_keyfile=(str(key),))
    files = read_tls_files(settings)
    harness = Harness(2)
    harness.workers.generations.active = harness.workers.generations.active._replace(tls=files)
    harness.step()
    harness.ready(*harness.spawned)
    harness.ready(*harness.spawned[1:])
    harness.report(harness.spawned[0], "certificates")
    assert len(harness.spawned) == 2, "nothing has changed"
    write_pair(certificate, key, 22)
    harness.report(harness.spawned[0], "certificates")
    harness.report(harness.spawned[1], "certificates")
    assert len(harness.spawned) == 2, "the files may still change"
    harness.step(SETTLE_SECONDS)
    harness.report(harness.spawned[1], "certificates")
    replaced = harness.replacements()
    assert [each.slot for each in replaced] == [0, 1]
    for each in replaced:
        assert each.generation.tls is not None
        assert files is not None
        assert b"22" in each.generation.tls.contents[0].key_pem
        assert each.generation.tls.ticket_secret == files.ticket_secret
    harness.report(replaced[0], "certificates")
    harness.report(replaced[1], "certificates")
    assert harness.starting() == []


def test_a_report_about_certificates_without_tls_is_ignored() -> None:
    harness = served(1)
    harness.report(harness.last(), "certificates")
    assert len(harness.spawned) == 1
