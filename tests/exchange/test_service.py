"""The state that the connections of a worker share."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ianus.exchange import service as module
from ianus.exchange.recording import RecordingObserver, drain_sessions, end_streams_of, reset_in_child, warn_once
from ianus.exchange.recording_exchange import RecordingGateway, make_head
from tests import engine


def service(**values: Any) -> module.Service:
    return engine.service(RecordingGateway(), **values)


def test_a_stop_without_a_successor_follows_one_with_it() -> None:
    shared = service()
    sessions = engine.sessions(shared)
    assert (shared.draining, shared.handover) == (False, False)
    drain_sessions(sessions, handover=True)
    assert (shared.draining, shared.handover) == (True, True)
    drain_sessions(sessions)
    assert (shared.draining, shared.handover) == (True, False)


def test_streams_end_later_than_a_drain_begins() -> None:
    shared = service()
    sessions = engine.sessions(shared)
    drain_sessions(sessions)
    assert not shared.ends_streams
    end_streams_of(sessions)
    assert shared.ends_streams


def test_a_warning_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    shared = service()
    for message in ("first 100 %", "second", "first 100 %"):
        warn_once(shared, message)
    assert caplog.messages == ["first 100 %", "second"]


def test_a_forked_child_reports_nothing() -> None:
    observer = RecordingObserver()
    shared = service(observer=observer)
    sessions = engine.sessions(shared)
    reset_in_child(sessions)
    reset_in_child(sessions)
    assert observer.is_child
    assert shared.forked
    assert shared.observer is None


def test_the_date_has_two_digits_and_english_names() -> None:
    date = dict(make_head(service(), ())[2])[b"date"].decode()
    parsed = datetime.strptime(date, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    assert parsed.strftime("%a, %d %b %Y %H:%M:%S GMT") == date


def test_the_time_after_a_handover_is_within_the_graceful_shutdown() -> None:
    assert engine.deadlines(timeout_stop=25.0, timeout_drain_idle=30.0).drain_idle == 15.5 / 2
    assert engine.deadlines(timeout_stop=25.0, timeout_drain_idle=30.0, ws_drain_spread=10.0).drain_idle == 5.5 / 2
    assert engine.deadlines(timeout_stop=80.0, timeout_drain_idle=30.0).drain_idle == 30.0
    assert engine.deadlines(timeout_stop=0.0, timeout_drain_idle=30.0).drain_idle == 30.0
