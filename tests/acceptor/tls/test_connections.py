"""Connections over TLS: requests, responses and their ends, with clients of Python's ssl module."""

import contextlib
import hashlib
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptor.serving import nothing_left
from tests.acceptor.tls import serving as tls_serving
from tests.acceptor.tls.client import TlsClient, client_context
from tests.acceptor.tls.serving import TlsServing

pytestmark = pytest.mark.slow

GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def serving(engine: Any) -> Iterator[TlsServing]:
    with nothing_left():
        running = TlsServing(engine)
        yield running
        running.close()
        assert running.factory.handshakes == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_requests_of_each_version(serving: TlsServing, version: ssl.TLSVersion) -> None:
    client = serving.client(client_context(maximum_version=version))
    assert client.tls.version() == version.name.replace("_", ".")
    assert client.get("/first") == b"/first"
    assert client.get("/second") == b"/second"
    client.close()


def test_older_versions_are_refused(serving: TlsServing) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.deprecated_call():
        context.maximum_version = context.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match=r"(?i)alert protocol version"):
        serving.client(context)
    assert serving.failed() == {"unsupported protocol": 1}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_handshake_byte_by_byte(serving: TlsServing, version: ssl.TLSVersion) -> None:
    client = TlsClient(serving, client_context(maximum_version=version)).handshake(chunk=1)
    assert client.get("/slow") == b"/slow"
    client.close()


def test_several_requests_in_one_record(serving: TlsServing) -> None:
    client = serving.client()
    client.write(b"".join(GET % path for path in (b"/1", b"/2", b"/3")))
    assert client.read_to(b"/3").count(b"HTTP/1.1 200 OK") == 3
    client.close()


def test_a_request_in_records_of_one_byte(serving: TlsServing) -> None:
    client = serving.client()
    for byte in GET % b"/bytes":
        client.tls.write(bytes([byte]))
    client.transmit()
    client.read_to(b"/bytes")
    client.close()


def test_a_request_whose_bytes_arrive_one_by_one(serving: TlsServing) -> None:
    client = serving.client()
    client.tls.write(GET % b"/bytes")
    client.transmit_in_turns(1)
    client.read_to(b"/bytes")
    client.close()


@pytest.mark.parametrize("size", [0, 16000, 16383, 16384, 16385, 65535, 65536, 65537, 1_000_000])
def test_responses_around_the_size_of_a_record(serving: TlsServing, size: int) -> None:
    client = serving.client()
    assert client.get(f"/size/{size}") == b"x" * size
    assert client.get("/after") == b"/after"
    client.close()


@pytest.mark.parametrize("size", [1, 16383, 16384, 16385, 65536, 300_000])
def test_uploads_around_the_size_of_a_record(serving: TlsServing, size: int) -> None:
    serving.state["may_read"].set()
    body = bytes(range(256)) * (size // 256 + 1)
    client = serving.client()
    client.write(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size + body[:size])
    client.read_to(hashlib.sha256(body[:size]).hexdigest().encode())
    client.close()


@pytest.mark.parametrize("chunk", [997, 4099, 16389, 65537])
def test_an_upload_in_chunks_of_odd_sizes(serving: TlsServing, chunk: int) -> None:
    # One receive may decode more bytes than it was given, by the part of a record that it has kept.
    serving.state["may_read"].set()
    body = bytes(range(256)) * 6_000
    client = serving.client()
    data = b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    for start in range(0, len(data), 16001):
        client.tls.write(data[start : start + 16001])
    client.transmit_in_turns(chunk)
    client.read_to(hashlib.sha256(body).hexdigest().encode())
    client.close()


def test_an_upload_that_is_read_late_after_a_half_close(serving: TlsServing) -> None:
    body = bytes(200_000)
    client = serving.client()
    client.write(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.tls.unwrap()
    client.transmit()
    for _ in range(20):
        serving.turn()
    serving.state["may_read"].set()
    client.read_until(lambda: client.closed)
    serving.until(lambda: serving.reactor.connections == 0)
    client.close()


def test_small_pieces_of_a_response_share_records(serving: TlsServing) -> None:
    client = serving.client()
    client.write(GET % b"/pieces")
    data = client.read_to(b"0\r\n\r\n")
    for number in range(1, 40):
        assert data.count(bytes([number]) * number * 997) == 1
    client.close()


def test_a_file(serving: TlsServing) -> None:
    content = Path(tls_serving.__file__).read_bytes()
    client = serving.client()
    client.write(GET % b"/file")
    assert client.read_to(content)
    client.close()


def test_a_response_until_close_ends_with_close_notify(serving: TlsServing) -> None:
    client = serving.client()
    client.write(b"GET /pieces HTTP/1.0\r\n\r\n")
    client.read_until(lambda: client.ended)
    client.read_until(lambda: client.closed)
    assert client.data.endswith(bytes([39]) * 39 * 997)
    client.close()


def test_close_notify_of_the_client_ends_an_idle_connection(serving: TlsServing) -> None:
    client = serving.client()
    client.get()
    with contextlib.suppress(ssl.SSLWantReadError):
        client.tls.unwrap()
    client.transmit()
    client.read_until(lambda: client.closed)
    client.close()


def test_fin_without_close_notify_is_a_half_close(serving: TlsServing) -> None:
    client = serving.client()
    client.write(GET % b"/last")
    client.socket.shutdown(1)
    client.read_until(lambda: client.closed)
    assert client.data.endswith(b"/last")
    assert client.ended
    client.close()


def test_a_damaged_record_closes_the_connection_with_an_alert(serving: TlsServing) -> None:
    client = serving.client()
    client.tls.write(GET % b"/never")
    record = bytearray(client.outgoing.read())
    record[-1] ^= 1
    client.send_raw(bytes(record))
    with pytest.raises(ssl.SSLError, match=r"(?i)alert bad record mac"):
        client.read_until(lambda: client.closed)
    assert serving.state["requests"] == []
    client.close()


def test_plain_bytes_after_the_handshake_close_the_connection(serving: TlsServing) -> None:
    client = serving.client()
    client.send_raw(GET % b"/never")
    with contextlib.suppress(ssl.SSLError):
        client.read_until(lambda: client.closed)
    serving.until(lambda: serving.reactor.connections == 0)
    assert serving.state["requests"] == []
    client.close()


def test_a_client_that_does_not_read_has_a_limited_number_of_bytes_encoded(serving: TlsServing) -> None:
    client = serving.client()
    client.write(GET % b"/size/30000000")
    for _ in range(50):
        serving.turn()
    client.read_to(b"x" * 1_000_000)
    client.close()
    serving.until(lambda: serving.reactor.connections == 0)


def send_part_of_a_head(client: TlsClient) -> None:
    client.write(b"GET /never HTTP/1.1\r\nHost:")


def send_part_of_a_body(client: TlsClient) -> None:
    client.write(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50_000)


def send_part_of_a_record(client: TlsClient) -> None:
    client.tls.write(GET % b"/never")
    client.send_raw(client.outgoing.read()[:20])


def ask_for_much(client: TlsClient) -> None:
    client.write(GET % b"/size/30000000")


def end_the_session(client: TlsClient) -> None:
    with contextlib.suppress(ssl.SSLWantReadError):
        client.tls.unwrap()
    client.transmit()


STATES = [TlsClient.get, send_part_of_a_head, send_part_of_a_record, send_part_of_a_body, ask_for_much, end_the_session]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("is_reset", [True, False], ids=["reset", "closed"])
@pytest.mark.parametrize("state", STATES)
def test_a_client_that_disconnects_in_each_state(
    serving: TlsServing, state: Callable[[TlsClient], object], is_reset: bool, version: ssl.TLSVersion
) -> None:
    client = serving.client(client_context(maximum_version=version))
    state(client)
    for _ in range(10):
        serving.turn()
    if is_reset:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    # Lets the application of an upload read on, which then learns of it.
    serving.state["may_read"].set()
    serving.until(lambda: serving.reactor.connections == 0)
    assert serving.factory.failures == {}
    other = serving.client()
    assert other.get() == b"/"
    other.close()


def test_key_updates_of_the_client(serving: TlsServing) -> None:
    # Python's client cannot send one, so this only reads the post-handshake messages of the server: its ticket.
    client = serving.client()
    assert client.get() == b"/"
    assert client.tls.session is not None
    client.close()
