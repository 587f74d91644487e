"""Clients that linger on purpose: how long they are read from, and their effect on other clients."""

import contextlib
import threading
import time
from collections.abc import Callable

import pytest

from tests.helpers import Client, Server, many, until

pytestmark = pytest.mark.conformance


def refused(server: Server) -> Client:
    client = server.connect()
    client.send(b"nonsense\r\n\r\n")
    assert client.response().status == 400
    return client


def test_client_that_sends_without_end_is_cut_off(start_server: Callable[..., Server]) -> None:
    """After an error, and after the response of an application that does not read: closed after 30 s in all."""
    server = start_server()
    with server.connect() as other, refused(server) as client:
        other.request("/ignore", b"Transfer-Encoding: chunked", method="POST")
        assert other.response().body == b"ignored\n"
        started = time.monotonic()
        with pytest.raises(ConnectionError):  # noqa: PT012
            while True:
                client.send(b"x" * 65536)
                with contextlib.suppress(ConnectionError):
                    other.send(b"400\r\n%b\r\n" % (b"x" * 1024))
                time.sleep(0.01)
        assert 25 < time.monotonic() - started < 60
        with pytest.raises(ConnectionError):  # noqa: PT012
            while True:
                other.send(b"400\r\n%b\r\n" % (b"x" * 1024))
                time.sleep(0.01)


def test_client_that_is_silent_is_cut_off(start_server: Callable[..., Server]) -> None:
    server = start_server()
    files = server.open_files()
    with refused(server):
        started = time.monotonic()
        until(lambda: server.open_files() <= files, "the connection to be closed")
        assert 3 < time.monotonic() - started < 15


def test_crowds_that_drip_and_flood(start_server: Callable[..., Server]) -> None:
    """A thousand connections drip and forty flood. Others are served, and an honest upload gets its answer."""
    server = start_server("--no-access-log", files=2048)
    stop = threading.Event()

    def send(clients: list[Client], size: int, pause: float) -> None:
        for client in clients:
            client.sock.setblocking(False)
        while not stop.wait(pause):
            for client in clients:
                with contextlib.suppress(OSError):
                    client.sock.send(b"x" * size)

    with many(1000, lambda: refused(server)) as dripping, many(40, lambda: refused(server)) as flooding:
        threads = [
            threading.Thread(target=send, args=(dripping, 1, 1.0)),
            threading.Thread(target=send, args=(flooding, 1_000_000, 0.001)),
        ]
        for thread in threads:
            thread.start()
        try:
            assert server.open_files() < 2048 // 4 + 60
            for _ in range(20):
                started = time.monotonic()
                assert server.get().body == b"hello\n"
                assert time.monotonic() - started < 2
                with server.connect() as client:
                    assert client.post("/ignore", b"x" * 3_000_000).status == 200
        finally:
            stop.set()
            for thread in threads:
                thread.join()
