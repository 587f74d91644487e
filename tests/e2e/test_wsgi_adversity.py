"""Clients of WSGI applications that pipeline, half-close, and disconnect at every stage."""

import functools
import time
from collections.abc import Callable

import pytest

from tests.helpers import Client, Gate, Server, until

HELLO = b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n"


def lines_of(server: Server) -> list[str]:
    """The access log of a server, which ends with this."""
    server.stop()
    assert server.output is not None
    return server.output.text.splitlines()


# --- Pipelining ---


def test_many_requests_in_one_piece(wsgi: Server) -> None:
    with wsgi.connect() as client:
        client.send(b"".join(b"GET /target?%d HTTP/1.1\r\nHost: test\r\n\r\n" % number for number in range(300)))
        assert [client.response().body for _ in range(300)] == [b"%d" % number for number in range(300)]


def test_requests_pipelined_after_a_slow_one_wait_for_it(wsgi: Server, gate: Gate) -> None:
    """One connection's requests are answered, and called, one after the other; others do not wait."""
    mark = wsgi.log.mark()
    with wsgi.connect() as client:
        client.request(gate.target)
        client.request("/echo", b"Content-Length: 5", method="POST")
        client.send(b"hello" + HELLO)
        wsgi.app_log("holding", mark)
        client.request("/target?last")
        assert wsgi.get().status == 200
        assert "called" not in wsgi.log.since(mark)
        gate.open()
        assert [client.response().body for _ in range(4)] == [b"held\n", b"hello", b"hello\n", b"last"]


def test_slow_and_fast_ones_in_turns(wsgi: Server) -> None:
    """Every hand-over of the lead happens inside of a pipeline."""
    with wsgi.connect() as client:
        for turn in range(20):
            paths = [f"/nap?{0.004 if number % 3 == turn % 3 else 0}" for number in range(6)]
            client.send(b"".join(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode() for path in paths))
            client.send(b"GET /target?%d HTTP/1.1\r\nHost: test\r\n\r\n" % turn)
            assert [client.response().body for _ in range(6)] == [b"slept\n"] * 6
            assert client.response().body == b"%d" % turn


def test_next_request_arrives_while_the_answer_is_streamed(wsgi: Server) -> None:
    with wsgi.connect() as client:
        client.request("/blocks?stream-and-next")
        client.head()
        assert client.chunk() == b"one"
        client.send(HELLO + HELLO[:10])
        wsgi.get("/open?stream-and-next1")
        assert client.chunk() == b"two"
        client.send(HELLO[10:])
        wsgi.get("/open?stream-and-next2")
        assert [client.chunk(), client.chunk()] == [b"three", b""]
        assert [client.response().body for _ in range(2)] == [b"hello\n"] * 2


def test_error_after_a_slow_request(wsgi: Server, gate: Gate) -> None:
    """First the answer, then the refusal, then nothing (GHSA-9298-4cf8-g4wj, waitress)."""
    mark = wsgi.log.mark()
    with wsgi.connect() as client:
        client.request(gate.target)
        client.send(b"GET /bad path HTTP/1.1\r\n\r\n" + HELLO)
        wsgi.app_log("holding", mark)
        gate.open()
        assert client.response().body == b"held\n"
        response = client.response()
        assert (response.status, response.closing) == (400, True)
        assert client.nothing()


def test_client_that_pipelines_and_does_not_read_has_to_wait(start_wsgi: Callable[..., Server]) -> None:
    server = start_wsgi("--no-access-log")
    request = b"GET /large?10000 HTTP/1.1\r\nHost: test\r\n\r\n"
    with Client(server.address, buffer=4096) as client:
        client.sock.setblocking(False)
        sent = 0
        for _ in range(30):
            try:
                while sent < 100_000:
                    client.sock.send(request)
                    sent += 1
            except BlockingIOError:
                assert server.get().status == 200
        client.reset()
    assert server.get().status == 200
    assert server.resident() < 200_000_000


# --- Half-closed ---


@pytest.mark.parametrize("path", ["/hello", "/stream", "/nap?0.05", "/large?3000000", "/pieces?50", "/write-pieces?50"])
def test_client_that_has_finished_sending_gets_its_answer(wsgi: Server, path: str) -> None:
    with wsgi.connect() as client:
        client.request(path)
        client.finish()
        assert client.response().status == 200
        assert client.nothing()


def test_all_answers_of_a_pipeline_that_ends(wsgi: Server) -> None:
    with wsgi.connect() as client:
        client.send(b"GET /nap?0.02 HTTP/1.1\r\nHost: test\r\n\r\n" + HELLO * 3)
        client.finish()
        assert client.response().body == b"slept\n"
        assert [client.response().body for _ in range(3)] == [b"hello\n"] * 3
        assert client.nothing()


def test_body_and_end_in_one_piece(wsgi: Server) -> None:
    with wsgi.connect() as client:
        client.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello")
        client.finish()
        assert client.response().body == b"hello"
        assert client.nothing()


# --- Disconnects ---


@pytest.mark.parametrize("leave", ["reset", "close"])
def test_while_the_application_runs(wsgi: Server, gate: Gate, leave: str) -> None:
    """The application is not disturbed, and its iterable is closed."""
    mark = wsgi.log.mark()
    for turn in range(5):
        name = f"{leave}{turn}{time.monotonic_ns()}"
        with wsgi.connect() as client:
            client.request(f"/wait?{name}")
            wsgi.log.wait_for(f"waiting: {name}")
            getattr(client, leave)()
        assert wsgi.get(f"/open?{name}").status == 200
        assert wsgi.log.wait_for(f"closed: {name}$")
    assert "Traceback" not in wsgi.log.since(mark)


@pytest.mark.parametrize("leave", ["reset", "close"])
def test_while_the_answer_is_streamed(wsgi: Server, leave: str) -> None:
    """PEP 3333: close() must be called upon an early disconnect."""
    for turn in range(3):
        name = f"stream{leave}{turn}{time.monotonic_ns()}-"
        with wsgi.connect() as client:
            client.request(f"/blocks?{name}")
            client.head()
            assert client.chunk() == b"one"
            wsgi.log.wait_for(f"waiting: {name}1")
            getattr(client, leave)()
        assert wsgi.get(f"/open?{name}1").status == 200
        until(functools.partial(_open_or_closed, wsgi, name), "the answer to be closed")


def _open_or_closed(server: Server, name: str) -> bool:
    """Opens the second gate if the application has reached it; whether the response was closed."""
    if f"waiting: {name}2" in server.log.text:
        server.get(f"/open?{name}2")
    return f"closed: {name}" in server.log.text


STAGES = {
    "nothing": b"",
    "half a head": HELLO[:20],
    "a request": HELLO,
    "two requests": HELLO * 2,
    "half a body": b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello",
    "an answer": b"GET /large?3000000 HTTP/1.1\r\nHost: test\r\n\r\n",
}


def test_at_every_stage(start_wsgi: Callable[..., Server]) -> None:
    """Nothing is left of it: no connection, no exchange (which the end of every server is looked at for)."""
    server = start_wsgi()
    for stage, sent in STAGES.items():
        for turn in range(20):
            with server.connect() as client:
                client.send(sent)
                if stage == "an answer":
                    client.exactly(1000)
                if turn % 2:
                    client.reset()
        assert server.get().body == b"hello\n"
    server.stop()
    assert "Traceback" not in server.log.text
    assert "called" not in server.log.text


def test_client_that_left_is_logged(start_wsgi: Callable[..., Server], gate: Gate) -> None:
    """A response that was not delivered is logged as 499. Each request has exactly one line."""
    server = start_wsgi()
    assert server.get().status == 200
    with server.connect() as client:
        client.request(gate.target)
        server.app_log("holding")
        client.reset()
    until(lambda: server.get().status == 200, "the server to see it")
    gate.open()
    assert server.get("/missing").status == 404
    until(lambda: server.output is not None and '" 499 ' in server.output.text, "the line of who has left")
    requests = [line.split('"')[1] + line.split('"')[2][:4] for line in lines_of(server)]
    assert sorted(requests) == sorted(
        [
            "GET /hello HTTP/1.1 200",
            "GET /hello HTTP/1.1 200",
            f"GET {gate.target} HTTP/1.1 499",
            "GET /missing HTTP/1.1 404",
        ]
    )


def test_access_log_of_every_answer(start_wsgi: Callable[..., Server]) -> None:
    server = start_wsgi()
    with server.connect() as client:
        for path in ("/hello", "/stream", "/large?1000000", "/play", "/write", "/nope"):
            client.get(path)
        client.request("/large?10", method="HEAD")
        client.response("HEAD")
    told = [(line.split('"')[1].split()[1], *line.split('"')[2].split()) for line in lines_of(server)]
    assert [(target, status, size) for target, status, size, *_ in told if target != "/play"] == [
        ("/hello", "200", "6"),
        ("/stream", "200", "14"),
        ("/large?1000000", "200", "1000000"),
        ("/write", "200", "19"),
        ("/nope", "404", "8"),
        ("/large?10", "200", "0"),
    ]
