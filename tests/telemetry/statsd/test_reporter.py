"""The metrics of a worker's requests and of its log."""

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from fuzz.serving import Served
from ianus.exchange.recording import RecordingConnection
from ianus.exchange.recording_exchange import RecordingGateway
from ianus.telemetry.statsd import reporter
from ianus.telemetry.statsd.reporter import StatsdReporter, build_metrics
from ianus.telemetry.statsd.request_samples import MAX_KEPT, RequestSamples
from tests.engine import service, sessions
from tests.telemetry.statsd.conftest import StatsdServer

OK = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
MISSING = OK.replace(b"/ ", b"/404 ")


async def app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404 if scope["path"] == "/404" else 200})
    await send({"type": "http.response.body"})


@pytest.fixture
def samples() -> Iterator[tuple[RequestSamples, Served]]:
    samples = RequestSamples()
    with contextlib.closing(Served(app, observer=samples)) as served:
        yield samples, served


def test_requests_are_counted_by_status(samples: tuple[RequestSamples, Served]) -> None:
    taken, served = samples
    assert not taken.has_samples.is_set()
    for request in (OK, OK, OK, MISSING, b"nonsense\r\n\r\n"):
        served.ask(request)
    assert taken.has_samples.is_set()
    statuses, durations, timed = taken.take()
    assert statuses == {200: 3, 400: 1, 404: 1}
    assert len(durations) == timed == 5
    assert all(0 <= each < 10 for each in durations)
    assert not taken.has_samples.is_set()
    assert taken.take() == ({}, [], 0)
    served.ask(OK)
    assert taken.has_samples.is_set()


def test_of_many_requests_all_are_counted_and_the_first_durations_kept() -> None:
    samples, gateway = RequestSamples(), RecordingGateway()
    client = RecordingConnection(sessions(service(gateway, observer=samples)))
    for _ in range(600):
        client.receive(OK)
        gateway.exchanges[0].respond(200)
        gateway.exchanges[0].send(b"ok")
        gateway.exchanges.pop().end_call()
        client.resume()
        client.take_output()
    client.lose()
    statuses, durations, timed = samples.take()
    assert (statuses, len(durations), timed) == ({200: 600}, MAX_KEPT, 600)


def test_the_metrics_of_requests() -> None:
    assert build_metrics({}, [], 0) == []
    assert build_metrics({101: 1, 200: 2}, [0.0015, 2.0], 2) == [
        "gunicorn.requests:3|c",
        "gunicorn.request.status.101:1|c",
        "gunicorn.request.status.200:2|c",
        "gunicorn.request.duration:1.500|ms",
        "gunicorn.request.duration:2000.000|ms",
    ]
    assert build_metrics({200: 4}, [0.25], 4)[-1] == "gunicorn.request.duration:250.000|ms|@0.2500"


def test_a_reporter_sends_requests_and_records(statsd: StatsdServer) -> None:
    """It waits until there are some, and close() does not lose the last ones."""
    each = StatsdReporter(statsd.client("shop"), statsd_host="here", interval=0.01)
    logger = logging.getLogger("ianus.error")
    with contextlib.closing(Served(app, observer=each.samples)) as served:
        each.start()
        served.ask(OK)
        assert statsd.datagram()[:2] == ["shop.gunicorn.requests:1|c", "shop.gunicorn.request.status.200:1|c"]
        logger.warning("one")
        assert statsd.datagram() == ["shop.gunicorn.log.warning:1|c"]
    each.close()
    logger.warning("after the end")

    slow = StatsdReporter(statsd.client(), statsd_host="here", interval=60)
    slow.start()
    logger.info("not counted")
    logger.error("two")
    logger.error("two")
    try:
        raise ValueError
    except ValueError:
        logger.exception("three")
    logger.critical("four")
    slow.close()
    assert statsd.datagram() == [*("gunicorn.log.error:2|c", "gunicorn.log.exception:1|c", "gunicorn.log.critical:1|c")]


def test_a_server_that_is_not_there_is_reported_rarely(
    statsd: StatsdServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ianus.telemetry.statsd.client.StatsdClient.send", refuse)
    each = StatsdReporter(statsd.client(), statsd_host="telegraf:8125", interval=0.0)
    with contextlib.closing(Served(app, observer=each.samples)) as served:
        for _ in range(3):
            served.ask(OK)
            each._report()
        message = "metrics cannot be sent to statsd at telegraf:8125: refused"
        assert [record.getMessage() for record in caplog.records] == [message]
        monkeypatch.setattr(reporter, "WARN_SECONDS", 0.0)
        served.ask(OK)
        each._report()
        assert [record.getMessage() for record in caplog.records] == [message] * 2


def refuse(self: object, metrics: list[str]) -> None:
    raise OSError(111, "refused")
