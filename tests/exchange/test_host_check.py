"""Requests over TLS for hosts of which the connection has no certificate (RFC 9110 sections 7.4 and 15.5.20)."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from ianus.exchange import refusals
from ianus.exchange.host_check import MAX_HOST_BYTES, is_certified
from ianus.exchange.refusals import misdirected
from ianus.gateway.health import HealthGateway
from tests.certificates import issue_self_signed, name_of
from tests.exchange.conversation import OK, Conversation, get, post
from tests.exchange.tls import tls_facts
from tests.rows import for_each_row

CERTIFICATE = issue_self_signed("one.test", "*.one.test", "192.0.2.7", "2001:db8::7").pem.decode()
CHECKED: dict[str, Any] = {"tls_host_check": True, "https": True, "tls": tls_facts(server_certificate=CERTIFICATE)}
OTHER = b"host: two.test"

Converse = Callable[..., Conversation]


@for_each_row(
    "host",
    [
        *(b"one.test", b"ONE.Test", b"one.test.", b"one.test:8443", b"one.test.:443", b"one.test:", b"www.one.test"),
        *(b"192.0.2.7", b"192.0.2.7:8443", b"192.0.2.7.", b"[2001:db8::7]", b"[2001:DB8:0::0:7]:8443"),
    ],
)
def test_hosts_of_the_certificate(host: bytes) -> None:
    assert is_certified(host, CERTIFICATE)


@for_each_row(
    "host",
    [
        *(b"two.test", b"one.test.evil", b"a.b.one.test", b".one.test", b"*.one.test.", b"one.test..", b"xone.test"),
        *(b"192.0.2.8", b"2001:db8::7", b"[2001:db8::8]", b"[::g]", b"[2001:db8::7", b"[]"),
        *(b"one.test@two.test", b"two.test:443@one.test", b"one%2etest", b"one.test\n", b"one.test:x"),
        *(b"\xff.one.test", b".", b":443", b"w" * (MAX_HOST_BYTES - 8) + b".one.test"),
    ],
)
def test_other_hosts(host: bytes) -> None:
    assert not is_certified(host, CERTIFICATE)


def test_the_common_name_counts_without_alternative_names() -> None:
    named = issue_self_signed(subject=name_of(common_name="Old.test")).pem.decode()
    assert is_certified(b"old.test", named)
    assert not is_certified(b"one.test", named)
    nameless = issue_self_signed(subject=name_of(organization_name="Example")).pem.decode()
    assert is_certified(b"one.test", nameless)


@pytest.fixture(autouse=True)
def no_lines_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(misdirected, "_logged", {})


def test_a_request_for_another_host_is_refused(converse: Converse, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    client = converse(**CHECKED)
    # The connection remains, so its next request is answered.
    client.connection.receive(get("/a").replace(b"host: h", OTHER) + get("/").replace(b"host: h", b"host: one.test"))
    client.answer()
    refused, _, served = client.receives().partition(b"request\n")
    assert refused.startswith(b"HTTP/1.1 421 Misdirected Request\r\n")
    assert served == OK
    assert len(client.exchanges) == 2
    assert "start" not in client.exchanges[0].events
    assert "rejected request: status 421, client 192.0.2.1:4711: the certificate of the connection" in caplog.text


def test_each_client_has_a_line_a_minute(
    converse: Converse, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")

    def ask(*hosts: str) -> list[str]:
        caplog.clear()
        for host in hosts:
            client = converse(client=(host, 4711), **CHECKED)
            client.connection.receive(get("/").replace(b"host: h", OTHER))
            client.connection.resume()
            assert client.receives().startswith(b"HTTP/1.1 421 ")
        return re.findall("status 421, client (.*?):", caplog.text)

    assert ask("192.0.2.1", "192.0.2.1", "192.0.2.2") == ["192.0.2.1", "192.0.2.2"]
    assert ask("192.0.2.1") == []
    monkeypatch.setattr(refusals, "LOG_SECONDS", 0.0)
    assert ask("192.0.2.1") == ["192.0.2.1"]


def test_the_authority_of_an_absolute_target_counts(converse: Converse) -> None:
    client = converse(**CHECKED)
    client.connection.receive(b"GET https://two.test/ HTTP/1.1\r\nhost: one.test\r\n\r\n")
    client.connection.resume()
    assert client.receives().startswith(b"HTTP/1.1 421 ")


def test_a_request_that_names_no_host_is_served(converse: Converse) -> None:
    client = converse(**CHECKED)
    client.open(b"GET / HTTP/1.1\r\nhost:\r\n\r\n")
    client.answer()
    client.open(b"GET / HTTP/1.0\r\n\r\n")
    client.answer()
    assert client.receives().count(b" 200 OK\r\n") == 2


def test_a_large_body_for_another_host_is_not_awaited(converse: Converse) -> None:
    client = converse(**CHECKED)
    client.connection.receive(post(1 << 20).replace(b"host: h", OTHER))
    client.connection.resume()
    answer = client.receives()
    assert answer.startswith(b"HTTP/1.1 421 ")
    assert b"\r\nconnection: close\r\n" in answer


def test_a_websocket_for_another_host_ends_its_connection(converse: Converse) -> None:
    fields = (b"upgrade: websocket", b"connection: upgrade", b"sec-websocket-version: 13")
    client = converse(**CHECKED)
    key = b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA=="
    client.connection.receive(get("/", *fields, key).replace(b"host: h", OTHER))
    client.connection.resume()
    answer = client.receives()
    assert answer.startswith(b"HTTP/1.1 421 ")
    assert b"\r\nconnection: close\r\n" in answer


def test_a_trusted_proxy_may_use_any_host(converse: Converse) -> None:
    forwarded = get("/", b"x-forwarded-for: 198.51.100.1").replace(b"host: h", OTHER)
    trusting = converse(**CHECKED, forwarded_allow_ips=("192.0.2.1",))
    trusting.open(forwarded)
    trusting.answer()
    assert trusting.receives() == OK
    other = converse(**CHECKED, forwarded_allow_ips=("192.0.2.2",))
    other.connection.receive(forwarded)
    other.connection.resume()
    assert other.receives().startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize(
    "values",
    [
        {**CHECKED, "tls_host_check": False},
        {**CHECKED, "tls": None},
        {**CHECKED, "tls": tls_facts()},
    ],
    ids=["off", "without TLS", "a context of the user's own"],
)
def test_connections_that_are_not_checked(converse: Converse, values: dict[str, Any]) -> None:
    client = converse(**values)
    client.open(get("/"))
    client.answer()
    assert client.receives() == OK


def test_health_checks_may_name_an_address(converse: Converse) -> None:
    client = Conversation(**CHECKED)
    gateway = HealthGateway(client.recording, health_path="/up")
    health = converse(gateway=gateway, **CHECKED)
    health.connection.receive(get("/up") + get("/other"))
    health.connection.resume()
    answers = health.receives()
    assert answers.startswith(b"HTTP/1.1 503 "), "the applications have not started"
    assert b"HTTP/1.1 421 " in answers
    client.close()
