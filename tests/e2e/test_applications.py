"""Applications that affect their process, and the server survives."""

from collections.abc import Callable

import pytest

from tests.helpers import Server, until


def test_context_of_a_request_is_its_own(server: Server) -> None:
    """A context variable set before the application first suspends does not reach the next request."""
    with server.connect() as client:
        assert [client.get("/context").body for _ in range(3)] == [b"untouched"] * 3
        client.send(b"GET /context HTTP/1.1\r\nHost: test\r\n\r\n" * 3)
        assert [client.response().body for _ in range(3)] == [b"untouched"] * 3


def test_state_of_a_request_is_its_own(server: Server) -> None:
    """ASGI lifespan: each request has a copy of the namespace, whose values are shared."""
    with server.connect() as client:
        assert [client.get("/state").body for _ in range(3)] == [b'{"given": "by lifespan"}'] * 3


def test_asgi_2(start_server: Callable[..., Server]) -> None:
    server = start_server(app="apps:Asgi2")
    assert "(asgi2)" in server.log.text
    with server.connect() as client:
        assert client.get().body == b"hello\n"
        assert client.post("/echo", b"body").body == b"body"
        assert client.get("/stream").body == b"one\ntwo\nthree\n"


def test_fork_in_a_handler(start_any: Callable[..., Server]) -> None:
    """The child has copies of all descriptors, and keeps running; no client may notice."""
    server = start_any()
    with server.connect() as old, server.connect() as busy:
        assert old.get().status == 200
        mark = server.log.mark()
        busy.request("/wait?fork")
        server.app_log("waiting", mark)
        with server.connect() as client:
            response = client.get("/fork", b"Connection: close")
            assert int(response.body) > 0
            assert client.nothing()  # it is closed for good, though the child had it too
        for _ in range(10):
            assert server.get().status == 200
            assert old.get().status == 200
        server.get("/open?fork")
        assert busy.response().body == b"waited\n"
        assert server.get("/reap").body == b"0"
        assert old.get().status == 200
    assert "Traceback" not in server.log.text


def test_many_forks(start_any: Callable[..., Server]) -> None:
    server = start_any()
    with server.connect() as client:
        for _ in range(10):
            assert client.get("/fork").status == 200
            assert server.get().status == 200
        for _ in range(10):
            assert client.get("/reap").body == b"0"


def test_server_stops_while_a_child_lives(start_any: Callable[..., Server]) -> None:
    server = start_any()
    server.get("/fork")
    server.stop()


def test_connections_are_closed_while_a_child_lives(start_server: Callable[..., Server]) -> None:
    """Also those that were idle when it was born."""
    server = start_server("--timeout-keep-alive", "1")
    with server.connect() as idle:
        assert idle.get().status == 200
        assert server.get("/fork").status == 200
        assert idle.nothing()
    assert server.get("/reap").body == b"0"


def test_multiprocessing_in_a_handler(start_any: Callable[..., Server]) -> None:
    """Such a child exits like a program: exit handlers, finalisers, all inherited descriptors closed."""
    server = start_any()
    with server.connect() as client:
        for _ in range(3):
            assert client.get("/process").body == b"0"
            assert server.get().status == 200
    assert "Traceback" not in server.log.text


@pytest.mark.parametrize("rounds", [1, 20])
def test_nested_event_loop_in_a_handler(start_server: Callable[..., Server], rounds: int) -> None:
    """The loop runs inside of a handler, so the reactor may be asked to work while it is at work."""
    server = start_server("--loop", "asyncio")
    with server.connect() as client, server.connect() as other:
        assert other.get().status == 200
        for _ in range(5):
            client.request(f"/nested?{rounds}")
            other.request("/hello")
            assert client.response().body == b"nested\n"
            assert other.response().body == b"hello\n"
        client.send(f"GET /nested?{rounds} HTTP/1.1\r\nHost: test\r\n\r\n".encode() * 5)
        assert [client.response().body for _ in range(5)] == [b"nested\n"] * 5
    assert "internal error" not in server.log.text


def test_blocking_handler_delays_others_and_loses_no_connection(server: Server) -> None:
    mark = server.log.mark()
    with server.connect() as blocking, server.connect() as other:
        blocking.request("/block?0.3")
        server.app_log("blocking", mark)
        other.request("/hello")
        assert other.response().body == b"hello\n"
        assert blocking.response().body == b"blocked\n"


def test_exit_in_a_handler_ends_the_request_only(server: Server) -> None:
    assert server.get("/exit").status == 500
    assert server.get().status == 200


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_every_loop(shared: Callable[..., Server], loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    server = shared("--loop", loop)
    assert f"; loop {loop}," in server.log.text
    with server.connect() as client:
        assert client.get().body == b"hello\n"
        assert client.get("/stream").body == b"one\ntwo\nthree\n"
        assert client.post("/echo", b"x" * 1_000_000).body == b"x" * 1_000_000
    files = server.open_files()
    for _ in range(100):
        server.connect().reset()
    until(lambda: server.open_files() <= files, "the connections to be closed")
