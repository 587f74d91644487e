"""More clients than the limits allow: some are refused, some wait, until other clients disconnect."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import Client, Server, many, measures_memory, until

# Bytes that may stay allocated after a crowd has disconnected, since allocators do not return every page. A leak
# is more: each of these crowds leaks several times as much if anything of it is kept.
SLACK = 4_000_000


# --- Requests in flight ---


def occupy(client: Client, server: Server) -> None:
    """Keeps the application busy until the client disconnects."""
    mark = server.log.mark()
    client.request("/leave")
    server.app_log("waiting", mark)


def test_requests_over_the_limit_are_answered_503(start_server: Callable[..., Server]) -> None:
    server = start_server("--limit-concurrency", "2")
    with many(2, server.connect) as busy:
        for client in busy:
            occupy(client, server)
        with server.connect() as client:
            for _ in range(3):
                response = client.get()
                assert response.status == 503
                assert int(response.header(b"retry-after") or b"") >= 1
        server.log.wait_for("limit-concurrency")
        busy[0].finish()
        assert busy[0].response().body == b"farewell\n"
        mark = server.log.mark()
        assert server.get().status == 200
        busy[1].reset()
        server.app_log("answered nobody", mark)
    with many(2, server.connect) as busy:
        for client in busy:
            occupy(client, server)


def test_idle_connections_do_not_count(start_server: Callable[..., Server]) -> None:
    """Neither those that wait for their next request, nor those that have sent half of one."""
    server = start_server("--limit-concurrency", "1")
    with many(50, server.connect) as idle:
        for number, client in enumerate(idle):
            if number % 2:
                assert client.get().status == 200
            else:
                client.send(b"GET /hello HTTP/1.1\r\nHost: te")
        assert server.get().status == 200
        for client in idle[::2]:
            client.send(b"st\r\n\r\n")
            assert client.response().status == 200


def test_refused_request_with_a_body(start_server: Callable[..., Server]) -> None:
    server = start_server("--limit-concurrency", "1")
    with server.connect() as busy, server.connect() as client:
        occupy(busy, server)
        assert client.post("/echo", b"hello").status == 503
        assert client.get().status == 503
        client.request("/echo", b"Content-Length: 5", b"Expect: 100-continue", method="POST")
        assert client.response().status == 503


# --- Connections ---


@pytest.mark.plain
def test_connections_over_the_limit_wait(start_server: Callable[..., Server]) -> None:
    server = start_server("--limit-connections", "2")
    with many(2, server.connect) as first:
        assert [client.get().status for client in first] == [200, 200]
        with many(3, server.connect) as waiting:
            for client in waiting:
                client.request()
            assert waiting[0].silent()
            assert first[0].get().status == 200
            first[0].close()
            assert waiting[0].response().status == 200
            assert waiting[1].silent()
            first[1].close()
            assert waiting[1].response().status == 200
            waiting[0].close()
            assert waiting[2].response().status == 200


@pytest.mark.plain
def test_connections_over_the_limit_of_the_system(start_server: Callable[..., Server]) -> None:
    """Accepting pauses with one line in the log, and connected clients are served."""
    started = time.monotonic()
    server = start_server("--no-access-log", files=64)
    room = 64 - server.open_files()
    with many(100, server.connect) as crowd:
        for client in crowd:
            client.request()
        for client in crowd[: room // 2]:
            assert client.response().status == 200
        server.log.wait_for("cannot accept more connections: open files: 48")
        for _ in range(20):
            for client in crowd[: room // 2]:
                assert client.get().status == 200
        assert crowd[-1].silent()
        for client in crowd[:-20]:
            client.close()
        for client in crowd[-20:]:
            assert client.response().status == 200
    assert server.get().status == 200
    assert server.log.text.count("cannot accept") <= 1 + (time.monotonic() - started) // 60


@pytest.mark.plain
def test_waiting_at_the_limit_of_the_system_costs_nothing(start_server: Callable[..., Server]) -> None:
    """A listening socket that stays readable must not keep the server busy."""
    server = start_server("--no-access-log", files=64)
    with many(100, server.connect):
        server.log.wait_for("cannot accept more connections: open files: 48")
        before = _cpu_seconds(server)
        time.sleep(1)
        assert _cpu_seconds(server) - before < 0.5


def test_idle_server_costs_nothing(start_server: Callable[..., Server]) -> None:
    server = start_server("--no-access-log")
    with many(50, server.connect) as idle:
        for client in idle:
            client.get()
        until(lambda: _switches_in(server, 0.5) <= 5, "an idle server that sleeps")


# --- Crowds ---


@measures_memory
@pytest.mark.parametrize("half", [b"", b"GET /hello HTTP/1.1\r\nHost: test\r\nX-Padding: " + b"x" * 10_000])
def test_half_open_connections(start_server: Callable[..., Server], half: bytes) -> None:
    """1,000 clients that never finish: the others are served, and memory is freed when they disconnect."""
    server = start_server("--no-access-log")
    files = server.open_files()

    def crowd() -> None:
        with many(1000, server.connect) as clients:
            for client in clients:
                client.send(half)
            until(lambda: server.open_files() >= files + 1000, "all of them to be accepted")
            for _ in range(50):
                assert server.get().body == b"hello\n"
        until(lambda: server.open_files() <= files, "all of them to be closed")

    crowd()  # one-time allocations happen here
    before = server.resident()
    crowd()
    crowd()
    assert server.resident() <= before + SLACK


@measures_memory
def test_connections_that_open_and_close_leak_no_memory(start_server: Callable[..., Server]) -> None:
    """Each is freed when it is closed: a cycle would wait for a collector that no Python code calls."""
    server = start_server("--no-access-log")
    files = server.open_files()

    def come_and_go(times: int) -> None:
        for _ in range(times):
            with server.connect() as client:
                client.send(b"GET /hello HTTP/1.1\r\nHost: test\r\nX-Some: value\r\nX-Oth")
        until(lambda: server.open_files() <= files, "all of them to be closed")

    come_and_go(1000)
    before = server.resident()
    come_and_go(10_000)
    assert server.resident() <= before + SLACK


@measures_memory
def test_unread_bodies_leak_no_memory(start_server: Callable[..., Server]) -> None:
    server = start_server("--no-access-log")

    def crowd() -> None:
        mark = server.log.mark()
        with many(100, server.connect) as clients:
            for client in clients:
                client.request("/wait?crowd", b"Content-Length: 60000", method="POST")
                client.send(b"x" * 60_000)
            until(lambda: server.log.since(mark).count("waiting") == 100, "all of them to wait")
            server.get("/open?crowd")
            assert {client.response().status for client in clients} == {200}

    crowd()
    before = server.resident()
    for _ in range(5):
        crowd()
    # Not all bodies of the first crowd may have arrived when it disconnected, and all of the last one.
    assert server.resident() <= before + SLACK + 100 * 60_000


@measures_memory
def test_unread_response_is_not_collected(start_server: Callable[..., Server]) -> None:
    """Back-pressure: `send` waits, and the application with it."""
    server = start_server("--no-access-log")
    server.get("/large?1000000")
    before = server.resident()
    with many(20, server.connect) as clients:
        for client in clients:
            client.request("/flood")
            client.head()
        for _ in range(100):
            assert server.get().status == 200
        assert server.resident() <= before + SLACK


@measures_memory
def test_memory_of_a_long_stream_stays_flat(start_server: Callable[..., Server]) -> None:
    server = start_server("--no-access-log")
    server.get("/large?1000000")
    with server.connect() as client:
        client.request("/flood")
        client.head()
        for _ in range(100):
            client.chunk()
        before = server.resident()
        for _ in range(3000):  # 200 MB
            client.chunk()
        assert server.resident() <= before + SLACK


@measures_memory
def test_memory_of_a_long_upload_stays_flat(start_server: Callable[..., Server]) -> None:
    server = start_server("--no-access-log", "--limit-body-rate", "0")
    with server.connect() as client:
        client.request("/size", b"Content-Length: 200000000", method="POST")
        client.send(b"x" * 10_000_000)
        before = server.resident()
        for _ in range(19):
            client.send(b"x" * 10_000_000)
        assert client.response().body == b"200000000"
        assert server.resident() <= before + SLACK


def test_slow_clients_of_all_kinds_and_good_ones(start_server: Callable[..., Server]) -> None:
    server = start_server("--no-access-log")

    def slow_reader() -> Client:
        client = Client(server.address, buffer=4096)
        client.request("/large?1000000")
        return client

    def slow_sender() -> Client:
        client = server.connect()
        client.request("/size", b"Content-Length: 1000", method="POST")
        client.send(b"x")
        return client

    def slow_head() -> Client:
        client = server.connect()
        client.send(b"GET / HT")
        return client

    with many(100, slow_reader), many(100, slow_sender), many(100, slow_head):
        for _ in range(100):
            assert server.get().body == b"hello\n"
            assert server.get("/stream").body == b"one\ntwo\nthree\n"


def _cpu_seconds(server: Server) -> float:
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _switches_in(server: Server, seconds: float) -> int:
    """How often the main thread went to sleep, which is how often it woke up."""

    def count() -> int:
        status = Path(f"/proc/{server.pid}/status").read_text()
        return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    before = count()
    time.sleep(seconds)
    return count() - before
