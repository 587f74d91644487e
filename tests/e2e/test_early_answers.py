"""Answers to uploads that are not read to their end: refused ones, and those of applications that answer at once.

RFC 9112 section 9.6: a server that closes while its client still sends resets the connection, and the client finds a
broken pipe in place of the answer. uvicorn, nginx and Go's server read on.
"""

import contextlib
import functools
import http.client
import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.e2e.conftest import WAYS
from tests.e2e.nginx import nginx
from tests.helpers import Client, Server, TlsAddress, many, until, url_of

BODY = b"x" * 3_000_000


def pieces() -> Iterator[bytes]:
    return (BODY[start : start + 50_000] for start in range(0, len(BODY), 50_000))


@pytest.fixture(params=["answered", "refused", *WAYS])
def upload(request: pytest.FixtureRequest, shared: Callable[..., Server]) -> tuple[Server, str, int]:
    """A server, a path, and the status of each upload of BODY there.

    answered: an ASGI application that does not read. The others have a limit of the body: WSGI applications are called
    only when all of it has arrived.
    """
    if request.param == "answered":
        return shared(), "/ignore", 200
    limit = ("--max-request-body-size", "100000")
    if request.param == "refused":
        return shared(*limit), "/echo", 413
    return shared(*WAYS[request.param], *limit, app="wsgi_apps:app"), "/echo", 413


def connect(server: Server) -> http.client.HTTPConnection:
    assert isinstance(server.address, tuple)
    host, port = server.address
    if isinstance(server.address, TlsAddress):
        return http.client.HTTPSConnection(host, port, timeout=20)
    return http.client.HTTPConnection(host, port, timeout=20)


# --- Clients that send all of a body before they read ---


@pytest.mark.parametrize("chunked", [False, True])
def test_http_client(upload: tuple[Server, str, int], chunked: bool) -> None:
    """BrokenPipeError, 20 times of 20."""
    server, path, status = upload
    for _ in range(10):
        with contextlib.closing(connect(server)) as client:
            client.request("POST", path, pieces() if chunked else BODY, encode_chunked=chunked)
            assert client.getresponse().status == status


@pytest.mark.parametrize("chunked", [False, True])
def test_requests(upload: tuple[Server, str, int], chunked: bool) -> None:
    server, path, status = upload
    with requests.Session() as session:
        for _ in range(10):
            response = session.post(url_of(server.address, path), data=pieces() if chunked else BODY, timeout=20)
            assert response.status_code == status


def test_http_1_0(upload: tuple[Server, str, int]) -> None:
    server, path, status = upload
    with server.connect() as client:
        client.request(path, b"Content-Length: %d" % len(BODY), method="POST", version="1.0")
        client.send(BODY)
        assert client.response().status == status
        assert client.nothing()


def test_unix_socket(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server(bind=(f"unix:{tmp_path}/s",))
    with server.connect() as client:
        assert client.post("/ignore", BODY).body == b"ignored\n"
        assert client.nothing()


def test_connection_is_kept_after_a_chunked_body_that_was_not_read(server: Server) -> None:
    """The client had not been notified that the connection would be closed."""
    with contextlib.closing(connect(server)) as client:
        for _ in range(5):
            client.request("POST", "/ignore", pieces(), encode_chunked=True)
            response = client.getresponse()
            assert response.read() == b"ignored\n"
            used = client.sock
            assert used is not None
        client.request("GET", "/hello")
        assert client.sock is used
        assert client.getresponse().read() == b"hello\n"


def test_body_limit_does_not_close_a_connection_for_unread_data(shared: Callable[..., Server]) -> None:
    server = shared("--max-request-body-size", "100000")
    with contextlib.closing(connect(server)) as client:
        client.request("POST", "/ignore", pieces(), encode_chunked=True)
        assert client.getresponse().read() == b"ignored\n"
        used = client.sock
        client.request("GET", "/hello")
        assert client.sock is used
        assert client.getresponse().read() == b"hello\n"


def test_connection_is_kept_if_little_of_a_body_was_not_read(server: Server) -> None:
    """The application may have read a megabyte before: the rest of the body decides."""
    with server.connect() as client:
        client.request("/ignore-the-rest?1000000", b"Content-Length: 1010000", method="POST")
        client.send(b"x" * 1_000_000)
        response = client.response()
        assert response.body == b"ignored\n"
        assert not response.closing
        client.send(b"x" * 10_000)
        assert client.get().body == b"hello\n"


@pytest.mark.parametrize("framing", [b"Content-Length: 20000000", b"Transfer-Encoding: chunked"])
def test_large_answer_to_a_client_that_does_not_read_yet(server: Server, framing: bytes) -> None:
    """The answer does not fit into the sockets' buffers, so it is being written all the while."""
    with server.connect() as client:
        client.request("/large?10000000", framing, method="POST")
        piece = b"186a0\r\n%b\r\n" % (b"x" * 100_000) if b"chunked" in framing else b"x" * 100_000
        for _ in range(200):
            client.send(piece)
        client.send(b"0\r\n\r\n" if b"chunked" in framing else b"")
        assert len(client.response().body) == 10_000_000


@pytest.mark.parametrize("size", [100, 10_000_000])
def test_client_that_finishes_inside_its_body_gets_the_answer(server: Server, size: int) -> None:
    """When both sides are shut down, there may still be input that was not read."""
    for _ in range(5):
        with server.connect() as client:
            client.request(f"/large?{size}", b"Content-Length: 20000000", method="POST")
            client.send(b"x" * 10_000_000)
            client.finish()
            assert len(client.response().body) == size
            assert client.nothing()


# --- Clients that read while they send ---


def upload_and_read(server: Server, path: str) -> int:
    """As Go's net/http: an error of writing ends the request, though an answer may have arrived."""
    failed: list[OSError] = []

    def write() -> None:
        try:
            client.send(BODY)
        except OSError as error:
            failed.append(error)

    with server.connect() as client:
        client.request(path, b"Content-Length: %d" % len(BODY), method="POST")
        writer = threading.Thread(target=write)
        writer.start()
        status = client.response().status
        writer.join()
    return 0 if failed else status


def test_fifty_uploads_at_once(upload: tuple[Server, str, int]) -> None:
    server, path, status = upload
    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(functools.partial(upload_and_read, server), [path] * 50))
    assert statuses == [status] * 50


def test_node_fetch(upload: tuple[Server, str, int]) -> None:
    """Usually the client gets EPIPE."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("node is not installed")
    server, path, status = upload
    script = Path(__file__).with_name("upload.mjs")
    done = subprocess.run(
        [program, str(script), url_of(server.address, path)], capture_output=True, timeout=60, check=True
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each.get("status") for each in told] == [status] * 21, told


@pytest.mark.parametrize("buffering", ["on", "off"])
def test_behind_nginx(upload: tuple[Server, str, int], tmp_path: Path, buffering: str) -> None:
    """502 Bad Gateway."""
    server, path, status = upload
    options = f"proxy_request_buffering {buffering}; proxy_http_version 1.1;"
    with nginx(server.address, tmp_path, options) as address:
        for _ in range(10):
            with Client(address) as client:
                assert client.post(path, BODY).status == status


# --- Bounds ---


def test_client_that_drips_is_not_listened_to_for_long(shared: Callable[..., Server]) -> None:
    """A byte now and then is not worth a connection: discarded data has a minimum rate, too."""
    server = shared("--limit-body-rate", "1000", "--limit-body-rate-grace", "1")
    for request in (
        b"nonsense\r\n\r\n",
        b"POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n",
    ):
        with server.connect() as client:
            client.send(request)
            assert client.response().status in (200, 400)
            started = time.monotonic()
            with pytest.raises(ConnectionError):  # noqa: PT012
                while True:
                    client.send(b"x")
                    time.sleep(0.05)
            assert time.monotonic() - started < 10


def test_clients_that_linger_on_purpose_are_limited(start_server: Callable[..., Server]) -> None:
    """Of 12 connections 3 may linger. A further one takes the place of the oldest."""
    server = start_server("--limit-connections", "12")
    files = server.open_files()

    def refused() -> Client:
        client = server.connect()
        client.send(b"nonsense\r\n\r\n")
        assert client.response().status == 400
        return client

    with many(9, refused) as clients:
        until(lambda: server.open_files() <= files + 3, "the oldest to be closed")
        for client in clients[:-3]:
            with pytest.raises(ConnectionError):  # noqa: PT012
                while True:
                    client.send(b"x")
        for _ in range(10):
            for client in clients[-3:]:
                client.send(b"x" * 1000)
        assert server.get().body == b"hello\n"


def test_clients_that_flood_do_not_starve_others(start_server: Callable[..., Server]) -> None:
    """Refused clients that send as fast as they can, until the server stops: it does not wait for their end."""
    server = start_server()

    def flood(client: Client) -> None:
        client.send(b"nonsense\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                client.send(b"x" * 1_000_000)

    with many(16, server.connect) as clients:
        threads = [threading.Thread(target=flood, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        try:
            for client in clients:
                assert client.response().status == 400
            started = time.monotonic()
            for _ in range(50):
                assert server.get().body == b"hello\n"
            assert time.monotonic() - started < 10
            server.stop()
        finally:
            for client in clients:
                with contextlib.suppress(OSError):
                    client.sock.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


# --- Nothing to lose ---


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_client_that_never_closes_costs_a_stop_nothing(start_any: Callable[..., Server], method: str) -> None:
    """Its request was read to the end and answered, so nothing can be lost: it took the two seconds of a linger."""
    server = start_any()
    with many(5, server.connect) as clients:
        for client in clients:
            if method == "POST":
                assert client.post("/echo", b"x" * 100_000, b"Connection: close").status == 200
            else:
                assert client.get("/hello", b"Connection: close").status == 200
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 1.8


def test_client_that_never_closes_is_closed_at_once(server: Server) -> None:
    """The connection is not half closed: more data is answered by a reset."""
    with server.connect() as client:
        assert client.get("/hello", b"Connection: close").status == 200
        assert client.nothing()
        started = time.monotonic()
        with pytest.raises(ConnectionError):  # noqa: PT012
            while True:
                client.send(b"x")
                time.sleep(0.01)
        assert time.monotonic() - started < 1.5
