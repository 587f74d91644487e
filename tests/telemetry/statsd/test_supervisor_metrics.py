"""The metrics of the supervisor."""

import logging
import socket
from pathlib import Path

import pytest

from ianus.telemetry.statsd.client import StatsdClient
from ianus.telemetry.statsd.supervisor_metrics import SupervisorMetrics
from tests.telemetry.statsd.conftest import StatsdServer


def test_changes_of_the_number_of_workers_and_records_are_sent(statsd: StatsdServer) -> None:
    files = len(list(Path("/proc/self/fd").iterdir()))
    metrics = SupervisorMetrics(statsd.client(), statsd_host="here")
    for count in (1, 1, 2, 2, 0):
        metrics.set_workers(count)
    assert [statsd.datagram() for _ in range(3)] == [[f"gunicorn.workers:{count}|g"] for count in (1, 2, 0)]
    logging.getLogger("ianus.error").error("a worker exited")
    assert statsd.datagram() == ["gunicorn.log.error:1|c"]
    assert len(list(Path("/proc/self/fd").iterdir())) == files, "workers would inherit its socket"
    metrics.close()
    logging.getLogger("ianus.error").error("after the end")
    metrics.set_workers(3)
    statsd.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        statsd.datagram()


def test_an_unknown_name_is_reported_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """To look for it again would keep the supervisor from its work."""
    asked = []

    def getaddrinfo(*arguments: object, **how: object) -> None:
        asked.append(arguments)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    client = StatsdClient(("stats.example", 8125), statsd_prefix="", dogstatsd_tags="")
    metrics = SupervisorMetrics(client, statsd_host="stats.example:8125")
    metrics.set_workers(1)
    metrics.close()
    assert len(asked) == 1
    (record,) = caplog.records
    assert record.getMessage() == (
        "metrics of the supervisor are not sent to statsd at stats.example:8125 until a reload: "
        "Name or service not known"
    )
