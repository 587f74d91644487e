"""How a WebSocket ends: by the client, by the application, by the server, or by loss."""

import re
import signal
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.e2e.websocket_client import CLOSE, HANDSHAKE, PING, PONG, TEXT, close, frame, open_websocket, text
from tests.helpers import Server

APP = "websocket_apps:app"


@pytest.fixture
def server(shared: Callable[..., Server]) -> Server:
    return shared(app=APP)


# --- By the application ---


def test_sending_after_its_own_close_is_an_oserror_and_no_error_in_the_log(server: Server) -> None:
    mark = server.log.mark()
    with open_websocket(server, "/send-after-close?accept") as client:
        assert client.closed() == (1000, "")
        client.send(close(1000))
        assert client.nothing()
    assert server.app_log("sent after close", mark) == "OSError OSError OSError none"
    assert server.get().body == b"hello\n"
    assert " ERROR " not in server.log.since(mark)


def test_sending_after_its_own_refusal_is_an_oserror_once_it_hears_of_the_end(server: Server) -> None:
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/send-after-close", *HANDSHAKE)
        assert client.response().status == 403
    assert server.app_log("sent after close", mark) == "RuntimeError OSError OSError none"
    assert server.get().body == b"hello\n"
    assert " ERROR " not in server.log.since(mark)


# --- By the client ---


@pytest.mark.parametrize(
    ("data", "answered", "told"),
    [
        (close(1000), 1000, "1000"),
        (close(1001, b"going"), 1001, "1001 going"),
        (close(4999, "ünt¡l".encode()), 4999, "4999 ünt¡l"),
        (frame(CLOSE), 1005, "1005"),
    ],
)
def test_a_client_that_closes(server: Server, data: bytes, answered: int, told: str) -> None:
    mark = server.log.mark()
    with open_websocket(server, "/echo?closes") as client:
        client.send(data)
        assert client.closed() == (answered, "")
        assert client.nothing()
    assert server.app_log("end of closes", mark) == told


def test_messages_before_the_close_are_received(server: Server) -> None:
    mark = server.log.mark()
    with open_websocket(server, "/deaf-to-the-end?deaf") as client:
        client.send(text("a") + text("b") + close(1000, b"enough"))
        assert client.closed() == (1000, "")
        assert client.nothing()
    with open_websocket(server, "/listen") as other:
        assert other.closed() == (1000, "")
    assert server.app_log("end of deaf", mark) == "1000 enough"
    assert re.findall("received: (.*)", server.log.since(mark)) == ["a", "b"]


@pytest.mark.parametrize("how", ["finish", "reset"])
def test_a_client_that_is_lost(server: Server, how: str) -> None:
    mark = server.log.mark()
    with open_websocket(server, "/echo?lost") as client:
        client.echo()
        getattr(client, how)()
        assert server.app_log("end of lost", mark) == "1006"
        if how == "finish":
            assert client.gone()


def test_a_client_that_is_lost_inside_a_frame(server: Server) -> None:
    mark = server.log.mark()
    with open_websocket(server, "/echo?inside") as client:
        client.send(text("incomplete")[:-1])
        client.finish()
        assert server.app_log("end of inside", mark) == "1006"


# --- By the application ---


@pytest.mark.parametrize(
    ("query", "code", "reason"),
    [
        ("", 1000, ""),
        ("1001", 1001, ""),
        ("1005", 1005, ""),
        ("4000,bye", 4000, "bye"),
        ("3000," + "é" * 100, 3000, "é" * 61),
        ("1011,\U0001f600", 1011, "\U0001f600"),
    ],
)
def test_an_application_that_closes(server: Server, query: str, code: int, reason: str) -> None:
    mark = server.log.mark()
    with open_websocket(server, f"/close?{quote(query)}") as client:
        client.send(text("do"))
        assert client.closed() == (code, reason)
        client.send(frame(CLOSE))
        assert client.nothing()
    assert server.app_log(f"end of {quote(query)}", mark).startswith(str(code))


def test_frames_after_the_servers_close_are_not_answered(server: Server) -> None:
    with open_websocket(server, "/close?4002") as client:
        client.send(text("do"))
        assert client.closed() == (4002, "")
        client.send(text("more") + frame(PING, b"p") + close(1000))
        assert client.nothing()


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 2999, 5000])
def test_a_reserved_close_code(server: Server, code: int) -> None:
    mark = server.log.mark()
    with open_websocket(server, f"/close?{code}") as client:
        client.send(text("do"))
        assert server.app_log("refused", mark).startswith("ValueError: ")
        assert client.closed() == (1000, "")


def test_an_application_that_returns(server: Server) -> None:
    with open_websocket(server, "/return") as client:
        client.send(text("do"))
        assert client.closed() == (1000, "")
        client.send(close(1000))
        assert client.nothing()


def test_an_application_that_raises(server: Server) -> None:
    mark = server.log.mark()
    with open_websocket(server, "/raise") as client:
        client.send(text("do"))
        assert client.closed() == (1011, "")
        client.send(close(1011))
        assert client.nothing()
    server.log.wait_for("RuntimeError: on purpose", mark)


# --- By the server ---


def test_a_server_that_stops(start_server: Callable[..., Server]) -> None:
    """That of a worker which is replaced has another code (test_draining.py)."""
    server = start_server(app=APP)
    with open_websocket(server) as client:
        client.echo()
        server.signal(signal.SIGTERM)
        assert client.closed() == (1001, "")
        client.send(close(1001))
        assert client.nothing()
        assert server.app_log("end of ").startswith("1001")
    assert server.wait() == 0


def test_a_server_that_stops_does_not_wait_for_long(start_server: Callable[..., Server]) -> None:
    """A client that does not answer has --ws-close-timeout."""
    server = start_server("--ws-close-timeout", "0.2", app=APP)
    with open_websocket(server) as client:
        client.echo()
        server.signal(signal.SIGTERM)
        assert client.closed()[0] == 1001
        assert client.gone()
    assert server.wait() == 0


# --- In time ---


def test_a_client_that_does_not_answer_a_close(shared: Callable[..., Server]) -> None:
    server = shared("--ws-close-timeout", "0.2", app=APP)
    with open_websocket(server, "/close?4000") as client:
        client.send(text("do"))
        assert client.closed() == (4000, "")
        assert client.gone()


def test_a_client_that_does_not_answer_pings(shared: Callable[..., Server]) -> None:
    server = shared("--ws-ping-interval", "0.1", "--ws-ping-timeout", "0.2", app=APP)
    mark = server.log.mark()
    with open_websocket(server) as client:
        assert client.frame() == (PING, b"")
        assert client.closed() == (1011, "keepalive ping timeout")
        assert client.gone()
    assert server.app_log("end of ", mark) == "1006 keepalive ping timeout"


def test_a_client_that_answers_pings(shared: Callable[..., Server]) -> None:
    server = shared("--ws-ping-interval", "0.1", app=APP)
    with open_websocket(server) as client:
        for _ in range(3):
            assert client.frame() == (PING, b"")
            client.send(frame(PONG))
        client.send(text("hello"))
        while (answer := client.frame()) == (PING, b""):
            pass
        assert answer == (TEXT, b"hello")


def test_pings_that_are_switched_off(shared: Callable[..., Server]) -> None:
    server = shared("--ws-ping-interval", "0", "--ws-ping-timeout", "0.1", app=APP)
    with open_websocket(server) as client:
        assert client.silent(0.5)
        client.echo()


def test_the_access_log_has_one_line_at_the_end(server: Server) -> None:
    assert server.output is not None
    mark = server.output.mark()
    with open_websocket(server, "/echo?logged") as client:
        client.echo("x" * 100)
        client.send(close(1000))
        assert client.closed() == (1000, "")
    server.output.wait_for(r'"GET /echo\?logged HTTP/1.1" 101 100 ', mark)
