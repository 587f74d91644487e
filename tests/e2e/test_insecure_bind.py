"""A server with TLS, and an address without: the same application, or redirects to https."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import Client, Server


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def ask_tls(server: Server, request: bytes) -> bytes:
    """Returns the response over TLS; the certificate is not checked."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    assert isinstance(server.address, tuple)
    with (
        socket.create_connection(server.address) as sock,
        context.wrap_socket(sock, server_hostname="localhost") as tls,
    ):
        tls.sendall(request)
        received = bytearray()
        while part := tls.recv(65536):
            received += part
    return bytes(received)


REQUEST = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def test_an_application_is_served_with_tls_and_without(start_server: Callable[..., Server]) -> None:
    server = start_server("--tls-dev", "--insecure-bind", "127.0.0.1:0", "--hsts", "1h", "--workers", "2")
    assert "on https://127.0.0.1:" in server.log.text
    encrypted = ask_tls(server, REQUEST)
    assert encrypted.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nstrict-transport-security: max-age=3600\r\n" in encrypted
    with Client(server.addresses[1]) as client:
        response = client.get()
        assert response.status == 200
        assert response.header(b"strict-transport-security") is None


def test_requests_without_tls_are_redirected(start_server: Callable[..., Server]) -> None:
    server = start_server("--tls-dev", "--insecure-bind", "127.0.0.1:0", "--https-redirect", "--health-path", "/up")
    port = server.addresses[0][1]
    with Client(server.addresses[1]) as client:
        client.send(b"GET /a?b=c HTTP/1.1\r\nHost: localhost:80\r\n\r\n")
        response = client.response()
        assert response.status == 301
        assert response.header(b"location") == f"https://localhost:{port}/a?b=c".encode()
        client.send(b"POST /a HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\nab")
        response = client.response()
        assert response.status == 308
        assert response.header(b"location") == f"https://127.0.0.1:{port}/a".encode()
        client.send(b"GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n")
        assert client.response().status == 421
        assert client.get("/up").status == 200
    assert ask_tls(server, REQUEST).startswith(b"HTTP/1.1 200 OK\r\n")
