"""TLS handshakes: names, protocols, tickets, client certificates, deadlines, limits and failures."""

import contextlib
import ctypes
import gc
import logging
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ianus.acceptor.proxied_session import ProxiedSessionFactory
from ianus.acceptor.tls.openssl import find_openssl
from ianus.acceptor.tls.options import TlsOptionError, TlsOptions
from tests.acceptor.serving import nothing_left
from tests.acceptor.tls.client import TlsClient, client_context
from tests.acceptor.tls.serving import SECRET, Store, TlsServing, load
from tests.certificates import client as client_certificate
from tests.certificates import intermediate, localhost, root, rsa_key
from tests.helpers import measures_memory

pytestmark = pytest.mark.slow

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture
def serve(engine: Any) -> Iterator[Any]:
    """serve(store=None, **options): a server of this test."""
    running: list[TlsServing] = []

    def start(store: Store | None = None, **options: Any) -> TlsServing:
        running.append(TlsServing(engine, store, **options))
        return running[-1]

    with nothing_left():
        yield start
        for each in running:
            each.close()
            assert each.factory.handshakes == 0


# ---------------------------------------------------------------- names and protocols


def peer_names(client: TlsClient) -> set[str]:
    certificate = client.tls.getpeercert()
    assert certificate is not None
    names: Any = certificate["subjectAltName"]
    return {name for _, name in names}


def test_the_store_chooses_by_the_name(engine: Any, serve: Any) -> None:
    store = Store(
        load(engine, localhost()),
        **{"a.test": load(engine, intermediate().issue("a.test")), "b.test": load(engine, root().issue("b.test"))},
    )
    serving = serve(store)
    for asked, names in (("a.test", {"a.test"}), ("B.TEST", {"b.test"}), ("localhost", {"localhost"})):
        client = serving.client(server_name=asked)
        assert names <= peer_names(client)
        client.close()
    client = serving.client(server_name=None)
    assert "localhost" in peer_names(client)
    assert client.get() == b"/"
    client.close()
    if engine.name == "python":
        return
    # In each handshake once for the certificate, and once for the facts.
    assert store.asked == ["a.test"] * 2 + ["b.test"] * 2 + ["localhost"] * 2 + [None] * 2
    assert store.refreshes == 4


def test_a_store_without_a_certificate_for_the_name(serve: Any) -> None:
    serving = serve(Store())
    with pytest.raises(ssl.SSLError):
        serving.client()
    assert serving.failed() == {"no certificate": 1} or serving.failed() == {"cert cb error": 1}


def test_an_rsa_key_beside_one_of_ecdsa(engine: Any, serve: Any) -> None:
    pairs = [load(engine, localhost()), load(engine, intermediate().issue("localhost", key=rsa_key()))]
    serving = serve(Store(*pairs))
    for ciphers, expected in (("ECDHE+ECDSA", "ECDSA"), ("ECDHE+aRSA", "RSA")):
        context = client_context(maximum_version=TLS_1_2)
        context.set_ciphers(ciphers)
        client = serving.client(context)
        cipher = client.tls.cipher()
        assert cipher is not None
        assert expected in cipher[0]
        client.close()


def test_an_error_in_the_store_fails_one_handshake(engine: Any, serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(load(engine, localhost()))
    serving = serve(store)
    pairs, store.default = store.default, ("not a pair",)  # type: ignore[assignment]
    with pytest.raises(ssl.SSLError):
        serving.client()
    assert "internal error while choosing a certificate" in caplog.text
    store.default = pairs
    serving.client().close()


@pytest.mark.parametrize(
    ("offered", "chosen"), [(["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"), ([], None)]
)
def test_the_protocol_by_alpn(serve: Any, offered: list[str], chosen: str | None) -> None:
    context = client_context()
    if offered:
        context.set_alpn_protocols(offered)
    client = serve().client(context)
    assert client.tls.selected_alpn_protocol() == chosen
    assert client.get() == b"/"
    client.close()


@pytest.mark.parametrize(
    ("version", "cipher", "chosen"),
    [
        (TLS_1_3, "AES128-SHA", "h2"),
        (TLS_1_2, "ECDHE-ECDSA-AES128-GCM-SHA256", "h2"),
        (TLS_1_2, "ECDHE-ECDSA-CHACHA20-POLY1305", "h2"),
        (TLS_1_2, "ECDHE-ECDSA-AES128-SHA256", "http/1.1"),
        (TLS_1_2, "AES128-GCM-SHA256", "http/1.1"),
    ],
)
def test_http2_is_chosen_with_a_cipher_that_it_allows(version: Any, cipher: str, chosen: str) -> None:
    # RFC 9113 section 9.2.2. The module ssl chooses without the cipher, so the other engine cannot do this.
    engine = find_openssl()
    store = Store(load(engine, localhost()), load(engine, intermediate().issue("localhost", key=rsa_key())))
    serving = TlsServing(engine, store, alpn=("h2", "http/1.1"), ciphers="ALL")
    context = client_context(maximum_version=version)
    context.set_ciphers(cipher)
    context.set_alpn_protocols(["h2", "http/1.1"])
    client = serving.client(context)
    assert client.tls.selected_alpn_protocol() == chosen
    client.close()
    serving.close()


def test_tls_1_3_prefers_aes_with_128_bits() -> None:
    # The clients of OpenSSL offer 256 bits first. The module ssl cannot set an order.
    engine = find_openssl()
    serving = TlsServing(engine, Store(load(engine, localhost())))
    client = serving.client(client_context())
    assert client.tls.cipher() == ("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128)
    client.close()
    serving.close()


def test_alpn_without_a_common_protocol(serve: Any) -> None:
    serving = serve()
    context = client_context()
    context.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError, match=r"(?i)alert no application protocol"):
        serving.client(context)
    assert serving.failed() == {"no application protocol": 1}


def test_the_minimum_version(serve: Any) -> None:
    serving = serve(min_version=0x0304)
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol version"):
        serving.client(client_context(maximum_version=TLS_1_2))
    serving.client().close()


def test_ciphers_of_the_client_that_are_not_allowed(serve: Any) -> None:
    serving = serve()
    context = client_context(maximum_version=TLS_1_2)
    context.set_ciphers("AES128-SHA")
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake failure"):
        serving.client(context)
    assert serving.failed() == {"no shared cipher": 1}


@pytest.mark.parametrize("setting", [{"ciphers": "NONSENSE"}, {"cert_reqs": "required", "ca_certs": "/nonexistent"}])
def test_options_that_the_library_refuses(engine: Any, setting: dict[str, str]) -> None:
    with pytest.raises(TlsOptionError, match="ssl_c"):
        engine.create_factory(Store(), TlsOptions(ticket_secret=SECRET, **setting))  # type: ignore[arg-type]


# ---------------------------------------------------------------- tickets


def resume(serving: TlsServing, context: ssl.SSLContext, session: ssl.SSLSession | None) -> tuple[bool, Any]:
    """Makes a connection with a session. Returns whether it was resumed, and its own session."""
    client = serving.client(context, session=session)
    assert client.get() == b"/"
    reused = client.tls.session_reused
    new = client.tls.session
    client.close()
    return bool(reused), new


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
def test_a_ticket_is_valid_in_all_workers(serve: Any, version: ssl.TLSVersion) -> None:
    context = client_context(maximum_version=version)
    first, second = serve(), serve()
    reused, session = resume(first, context, None)
    assert not reused
    assert session.has_ticket
    assert resume(first, context, session)[0]
    # Python's ssl module takes no keys.
    assert resume(second, context, session)[0] == (first.engine.name == "openssl")
    other = serve(ticket_secret=bytes(32))
    assert not resume(other, context, session)[0]


def test_each_connection_of_tls_1_3_has_a_new_ticket(serve: Any) -> None:
    """RFC 8446 appendix C.4: clients use a ticket once. Otherwise every second connection would be a full handshake."""
    serving = serve()
    context = client_context()
    _, session = resume(serving, context, None)
    for _ in range(3):
        reused, newer = resume(serving, context, session)
        assert reused
        assert newer.id != session.id
        session = newer


def test_ticket_keys_rotate() -> None:
    engine = find_openssl()
    engine.clock = lambda: 1_000_000.0 * 12 * 3600
    serving = TlsServing(engine)
    context = client_context()
    _, session = resume(serving, context, None)
    engine.clock = lambda: 1_000_001.0 * 12 * 3600
    assert resume(serving, context, session)[0]
    engine.clock = lambda: 1_000_002.0 * 12 * 3600
    assert not resume(serving, context, session)[0]
    serving.close()


def test_a_ticket_from_before_a_change_of_the_certificate(engine: Any, serve: Any) -> None:
    store = Store(load(engine, localhost()))
    serving = serve(store)
    context = client_context()
    _, session = resume(serving, context, None)
    renewed = intermediate().issue("localhost", "renewed.test")
    store.default = (load(engine, renewed),)
    assert resume(serving, context, session)[0]
    client = serving.client(context)
    assert "renewed.test" in peer_names(client)
    client.close()


def test_a_living_connection_survives_a_change_of_the_certificate(engine: Any, serve: Any) -> None:
    store = Store(load(engine, localhost()))
    serving = serve(store)
    client = serving.client()
    store.default = ()
    assert client.get() == b"/"
    client.close()


# ---------------------------------------------------------------- client certificates


@pytest.fixture
def authority(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    path.write_bytes(root().pem)
    return str(path)


def with_certificate(tmp_path: Path, certificate: Any, **options: Any) -> ssl.SSLContext:
    context = client_context(**options)
    context.load_cert_chain(*certificate.write(tmp_path, "client"))
    return context


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
@pytest.mark.parametrize("required", ["optional", "required"])
def test_a_client_with_a_certificate(
    serve: Any, tmp_path: Path, authority: str, required: str, version: ssl.TLSVersion
) -> None:
    serving = serve(cert_reqs=required, ca_certs=authority)
    context = with_certificate(tmp_path, client_certificate(), maximum_version=version)
    client = serving.client(context)
    assert client.get() == b"/"
    session = client.tls.session
    # A resumed session would lack the client's chain.
    assert session is None or not session.has_ticket
    client.close()


def test_a_client_without_a_certificate(serve: Any, authority: str) -> None:
    serving = serve(cert_reqs="optional", ca_certs=authority)
    client = serving.client()
    assert client.get() == b"/"
    client.close()
    serving = serve(cert_reqs="required", ca_certs=authority)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        serving.client().get()
    assert serving.failed() == {"peer did not return a certificate": 1}


def test_a_certificate_of_an_unknown_authority(serve: Any, tmp_path: Path, authority: str) -> None:
    from tests.certificates import Authority

    serving = serve(cert_reqs="optional", ca_certs=authority)
    stranger = Authority("Stranger").issue(for_client=True)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        serving.client(with_certificate(tmp_path, stranger)).get()
    (reason,) = serving.failed()
    assert reason.startswith("certificate verify failed: unable to get")


def test_a_revoked_certificate(serve: Any, tmp_path: Path) -> None:
    revoked = root().issue(for_client=True)
    accepted = root().issue(for_client=True)
    files = {"ca.pem": root().pem, "crl.pem": root().revocation_list(revoked)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    serving = serve(cert_reqs="required", ca_certs=str(tmp_path / "ca.pem"), crl=str(tmp_path / "crl.pem"))
    client = serving.client(with_certificate(tmp_path, accepted))
    assert client.get() == b"/"
    client.close()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        serving.client(with_certificate(tmp_path, revoked)).get()
    assert serving.failed() == {"certificate verify failed: certificate revoked": 1}


def test_a_file_that_is_not_a_list_of_revoked_certificates(engine: Any, tmp_path: Path, authority: str) -> None:
    with pytest.raises(TlsOptionError, match="ssl_crl"):
        engine.create_factory(
            Store(), TlsOptions(ticket_secret=SECRET, cert_reqs="required", ca_certs=authority, crl=authority)
        )


# ---------------------------------------------------------------- failures, deadlines, limits


def hello() -> bytes:
    """Returns the first bytes of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("method", [b"GET", b"POST", b"OPTIONS", b"PRI"])
def test_plain_http_is_answered_in_plain_text(serve: Any, method: bytes) -> None:
    serving = serve()
    client = serving.connect()
    client.sendall(method + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    data = serving.read(client, b"https:// in place of http://\n")
    assert data.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"content-type: text/plain" in data
    assert serving.failed() == {"plain HTTP on a port for TLS": 1}
    client.close()
    serving.until(lambda: serving.reactor.connections == 0)


@pytest.mark.parametrize(
    "data",
    [b"\x16", b"\x16\x03\x01\xff\xff", b"\0" * 100, b"SSH-2.0-x\r\n", b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff"],
)
def test_other_first_bytes_end_the_connection(serve: Any, data: bytes) -> None:
    serving = serve()
    client = serving.connect()
    client.sendall(data)
    client.shutdown(socket.SHUT_WR)
    serving.until(lambda: serving.reactor.connections == 0)
    assert sum(serving.failed().values()) == 1
    client.close()


def test_a_connection_without_a_byte_is_not_a_failure(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ianus.error")
    serving = serve()
    client = serving.connect()
    serving.until(lambda: serving.factory.handshakes == 1)
    client.close()
    serving.until(lambda: serving.reactor.connections == 0)
    assert serving.factory.failures == {}
    assert "TLS" not in caplog.text


@pytest.mark.parametrize("size", [0, 1, 100, 1 << 20])
def test_a_reset_in_the_handshake(serve: Any, size: int) -> None:
    serving = serve()
    client = serving.connect()
    client.sendall(hello()[:size])
    serving.until(lambda: serving.factory.handshakes == 1)
    for _ in range(3):
        serving.turn()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    serving.until(lambda: serving.reactor.connections == 0)
    assert serving.factory.handshakes == 0
    assert sum(serving.factory.failures.values()) == (1 if size else 0)


@pytest.mark.parametrize("size", [0, 50, 1 << 20])
def test_a_handshake_has_an_absolute_deadline(serve: Any, size: int) -> None:
    data = hello()[:size]
    serving = serve(timeout_handshake=0.05)
    client = serving.connect()
    client.sendall(data)
    serving.until(lambda: serving.reactor.connections == 1)
    serving.until(lambda: serving.reactor.connections == 0)
    reason = "not complete within timeout-tls-handshake"
    assert serving.factory.failures == ({reason: 1} if data else {})
    client.close()


def test_failures_are_logged_once_a_second(serve: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ianus.error")
    serving = serve()
    clients = [serving.connect() for _ in range(20)]
    for client in clients:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    serving.until(lambda: sum(serving.factory.failures.values()) == 20)
    for client in clients:
        client.close()
    serving.until(lambda: serving.reactor.connections == 0)
    lines = [record for record in caplog.records if "failed TLS handshakes" in record.getMessage()]
    assert 1 <= len(lines) < 20


@pytest.mark.parametrize(("is_on", "version"), [(True, TLS_1_2), (True, TLS_1_3), (False, TLS_1_3)])
def test_complete_handshakes_are_logged_on_request(
    serve: Any, caplog: pytest.LogCaptureFixture, is_on: bool, version: ssl.TLSVersion
) -> None:
    caplog.set_level(logging.INFO, "ianus.error")
    client = serve(handshake_log=is_on).client(client_context(maximum_version=version))
    assert client.get() == b"/"
    lines = [text for text in caplog.messages if text.startswith("TLS handshake: ")]
    protocol, cipher = str(client.tls.version()), client.tls.cipher()[0]
    host, port = client.socket.getsockname()
    expected = f"TLS handshake: client {host}:{port}: {protocol}, {cipher}, name: localhost"
    assert lines == ([expected] if is_on else [])
    client.close()


def test_the_limit_of_handshakes_pauses_accepting(serve: Any) -> None:
    serving = serve(limit_handshakes=2)
    waiting = [serving.connect() for _ in range(2)]
    serving.until(lambda: serving.factory.handshakes == 2)
    client = TlsClient(serving)
    for _ in range(10):
        serving.turn()
    assert serving.reactor.connections == 2
    waiting.pop().close()
    assert client.handshake().get() == b"/"
    # A handshake that is complete counts no more.
    other = serving.client()
    assert other.get() == b"/"
    assert serving.factory.handshakes == 1
    for each in (*waiting, client, other):
        each.close()


# More than a batch of events, and less
@pytest.mark.parametrize("number", [100, 600])
def test_handshakes_do_not_delay_an_established_connection(serve: Any, number: int) -> None:
    serving = serve()
    established = serving.client()
    assert established.get() == b"/"
    first = hello()
    flood = []
    for _ in range(number):
        flood.append(serving.connect())
        # The backlog is short.
        serving.turn()
    serving.until(lambda: serving.factory.handshakes == number)
    for client in flood:
        client.sendall(first)
    established.write(b"GET /now HTTP/1.1\r\nHost: localhost\r\n\r\n")
    # A turn for each batch of 256 events, and one for the task of the application
    for _ in range(number // 256 + 2):
        serving.turn()
    established.decode()
    assert established.data.endswith(b"/now")
    answered = 0
    for client in flood:
        try:
            client.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            continue
        answered += 1
    assert answered < number
    for client in (*flood, established):
        client.close()
    serving.until(lambda: serving.reactor.connections == 0)


# ---------------------------------------------------------------- after the header of a proxy

HEADER = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"


class ProxiedServing(TlsServing):
    def sessions(self, app: Any) -> Any:
        sessions = super().sessions(app)
        return ProxiedSessionFactory(
            sessions, proxy_protocol="auto", is_allowed=lambda address: True, timeout_request_header=10
        )


@pytest.fixture
def proxied(engine: Any) -> Iterator[ProxiedServing]:
    with nothing_left():
        serving = ProxiedServing(engine)
        yield serving
        serving.close()
        assert serving.factory.handshakes == 0


@pytest.mark.parametrize("together", [True, False])
def test_a_handshake_after_the_header_of_a_proxy(proxied: ProxiedServing, together: bool) -> None:
    sock = proxied.connect()
    client = TlsClient(proxied, sock=sock)
    if together:
        with pytest.raises(ssl.SSLWantReadError):
            client.tls.do_handshake()
        sock.sendall(HEADER + client.outgoing.read())
    else:
        sock.sendall(HEADER)
        for _ in range(5):
            proxied.turn()
    client.handshake()
    assert client.get("/proxied") == b"/proxied"
    client.close()


def test_plain_http_after_the_header_of_a_proxy(proxied: ProxiedServing) -> None:
    client = proxied.connect()
    client.sendall(HEADER + b"GET / HTTP/1.1\r\n\r\n")
    proxied.read(client, b"https:// in place of http://\n")
    client.close()
    proxied.until(lambda: proxied.reactor.connections == 0)


def test_a_handshake_without_the_header_of_a_proxy(proxied: ProxiedServing) -> None:
    client = proxied.connect()
    client.sendall(hello())
    proxied.until(lambda: proxied.reactor.connections == 1)
    proxied.until(lambda: proxied.reactor.connections == 0)
    assert proxied.factory.failures == {}
    client.close()


# ---------------------------------------------------------------- with OpenSSL's own client


def s_client(serving: TlsServing, text: str, *options: str) -> str:
    """Runs `openssl s_client` with this input. Returns its output."""
    command = ["openssl", "s_client", "-connect", "{}:{}".format(*serving.listener.getsockname()), *options]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write(text)
        client.stdin.flush()
        serving.until(lambda: client.poll() is not None)
        return client.stdout.read()


def test_renegotiation_is_refused(serve: Any) -> None:
    serving = serve()
    # A line that starts with R starts a renegotiation.
    output = s_client(serving, "R\n", "-tls1_2")
    assert "RENEGOTIATING" in output
    assert "no renegotiation" in output
    serving.client().close()


def test_early_data_is_not_offered(serve: Any) -> None:
    serving = serve()
    output = s_client(serving, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "-tls1_3", "-ign_eof")
    assert "Max Early Data: 0" in output
    assert "Compression: NONE" in output


@pytest.mark.extended
def test_many_handshakes_leave_no_memory(serve: Any) -> None:
    serving = serve()
    context = client_context()

    def handshakes(number: int) -> int:
        for _ in range(number):
            client = serving.client(context)
            client.get()
            client.close()
            # Objects that the test itself keeps
            for kept in (serving.sockets, serving.store.asked, serving.state["requests"]):
                kept.clear()
        serving.until(lambda: serving.reactor.connections == 0)
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1])

    handshakes(300)
    before = handshakes(100)
    pages = handshakes(10_000) - before
    # One leaked byte for each handshake is less than this; one object is more.
    assert pages * 4096 < 10_000 * 64


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.extended
@measures_memory
def test_the_memory_of_many_handshakes_at_once_is_returned(serve: Any) -> None:
    """Connections that stay have objects at the end of the heap, which would keep all pages before them."""
    serving, first = serve(), hello()

    def flood(number: int) -> int:
        """Returns the bytes that the handshakes have taken."""
        # Free pages of earlier tests would be used again.
        ctypes.CDLL(None).malloc_trim(0)
        before, clients, kept = resident_bytes(), [], []
        for index in range(number):
            clients.append(serving.connect())
            clients[-1].sendall(first)
            serving.until(lambda: is_answered(clients[-1]))
            if index % 50 == 0:
                kept.append(serving.client())
        taken = resident_bytes() - before
        for client in clients:
            client.close()
        serving.until(lambda: serving.factory.handshakes == 0)
        # The timer fires a second later.
        serving.until(lambda: resident_bytes() - before < taken // 2)
        for established in kept:
            assert established.get() == b"/"
            established.close()
        serving.sockets.clear()
        serving.until(lambda: serving.reactor.connections == 0)
        return taken

    assert flood(400) > 400 * 16_384
    flood(400)


def is_answered(client: socket.socket) -> bool:
    with contextlib.suppress(BlockingIOError):
        return bool(client.recv(1, socket.MSG_PEEK))
    return False
