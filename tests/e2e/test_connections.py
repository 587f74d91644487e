"""Connections: which are kept, which are closed, and the order of responses (RFC 9112 9)."""

import contextlib
import socket
import threading
from collections.abc import Callable

import pytest

from tests.helpers import Client, Server, many, measures_memory, until


def pipelined(*paths: str) -> bytes:
    return b"".join(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode() for path in paths)


# --- Persistence ---


def test_keep_alive(server: Server) -> None:
    with server.connect() as client:
        for _ in range(50):
            response = client.get("/hello")
            assert response.body == b"hello\n"
            assert response.header(b"connection") is None


def test_connection_close_of_the_client(server: Server) -> None:
    with server.connect() as client:
        response = client.get("/hello", b"Connection: close")
        assert response.body == b"hello\n"
        assert response.closing
        assert client.nothing()


def test_1_0_closes(server: Server) -> None:
    with server.connect() as client:
        response = client.get("/hello", version="1.0")
        assert response.body == b"hello\n"
        assert response.framing == "length"
        assert client.nothing()


def test_1_0_keep_alive(server: Server) -> None:
    """RFC 9112 C.2.2: the response has to confirm that the connection is kept."""
    with server.connect() as client:
        for _ in range(3):
            response = client.get("/hello", b"Connection: keep-alive", version="1.0")
            assert response.body == b"hello\n"
            assert response.header(b"connection") == b"keep-alive"


def test_nothing_is_served_after_connection_close(server: Server) -> None:
    """RFC 9112 9.6, Kludex/uvicorn#2238."""
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/hello", b"Connection: close")
        client.request("/wait?behind-close")
        assert client.response().body == b"hello\n"
        assert client.nothing()
    assert "waiting" not in server.log.since(mark)


# --- Pipelining ---


def test_pipelined_answers_are_in_order(server: Server) -> None:
    paths = [f"/target?{number}" for number in range(200)]
    with server.connect() as client:
        client.send(pipelined(*paths))
        assert [client.response().body for _ in paths] == [b"%d" % number for number in range(200)]


def test_pipelined_answers_wait_for_a_slow_one(server: Server) -> None:
    """CVE-2023-46137, CVE-2024-41671 (Twisted): a fast second answer overtook a slow first one."""
    with server.connect() as client:
        client.send(pipelined("/wait?slow-first", "/target?second", "/stream", "/target?last"))
        server.app_log("waiting")
        assert client.silent()
        assert server.get("/open?slow-first").status == 200
        bodies = [client.response().body for _ in range(4)]
    assert bodies == [b"waited\n", b"second", b"one\ntwo\nthree\n", b"last"]


def test_pipelined_requests_run_one_at_a_time(server: Server) -> None:
    mark = server.log.mark()
    with server.connect() as client:
        client.send(pipelined("/wait?one-a", "/wait?one-b"))
        server.app_log("waiting", mark)
        assert server.get("/hello").status == 200
        assert server.log.since(mark).count("app: waiting") == 1
        server.get("/open?one-a")
        assert client.response().body == b"waited\n"
        until(lambda: server.log.since(mark).count("app: waiting") == 2, "the second request")
        server.get("/open?one-b")
        assert client.response().body == b"waited\n"


def test_pipelined_bodies(server: Server) -> None:
    message = b"POST /echo HTTP/1.1\r\nHost: test\r\n%s\r\n\r\n%s"
    plain = message % (b"Content-Length: 5", b"plain")
    chunked = message % (b"Transfer-Encoding: chunked", b"3\r\nchu\r\n4\r\nnked\r\n0\r\nA: b\r\n\r\n")
    unread = plain.replace(b"/echo", b"/ignore")
    with server.connect() as client:
        client.send(plain + chunked + unread + plain + chunked)
        bodies = [client.response().body for _ in range(5)]
    assert bodies == [b"plain", b"chunked", b"ignored\n", b"plain", b"chunked"]


@pytest.mark.parametrize("size", [1, 7, 64])
def test_pipelined_requests_in_small_pieces(server: Server, size: int) -> None:
    data = pipelined("/target?1", "/target?2", "/target?3")
    with server.connect() as client:
        for cut in range(0, len(data), size):
            client.send(data[cut : cut + size])
        assert [client.response().body for _ in range(3)] == [b"1", b"2", b"3"]


@measures_memory
def test_a_client_that_pipelines_and_does_not_read_has_to_wait(server: Server) -> None:
    """Its responses are not queued without limit, and all of them arrive once it reads."""
    count, size = 300, 100_000
    with server.connect() as client:
        sender = threading.Thread(target=client.send, args=(pipelined(*[f"/large?{size}"] * count),))
        sender.start()
        before = server.resident()
        for _ in range(20):
            assert server.get("/hello").status == 200
        assert server.resident() - before < 10_000_000
        for _ in range(count):
            assert len(client.response().body) == size
        sender.join()


def test_error_after_good_requests(server: Server) -> None:
    """The good ones are answered; then the error, and nothing for the bytes after it."""
    with server.connect() as client:
        client.send(pipelined("/target?1", "/stream") + b"GET /bad\r\n\r\n" + pipelined("/target?smuggled"))
        assert client.response().body == b"1"
        assert client.response().body == b"one\ntwo\nthree\n"
        response = client.response()
        assert response.status == 400
        assert response.closing
        assert client.nothing()


def test_error_after_a_request_in_flight(server: Server) -> None:
    """The error waits for its turn, too."""
    with server.connect() as client:
        client.send(pipelined("/wait?before-error") + b"GET /bad\r\n\r\n")
        server.app_log("waiting")
        assert client.silent()
        server.get("/open?before-error")
        assert client.response().body == b"waited\n"
        assert client.response().status == 400
        assert client.nothing()


def test_a_connection_that_floods_does_not_starve_others(server: Server) -> None:
    with server.connect() as flooding:

        def flood() -> None:
            with contextlib.suppress(OSError):
                while True:
                    flooding.send(pipelined(*["/hello"] * 100))

        def read() -> None:
            with contextlib.suppress(OSError, AssertionError):
                while True:
                    flooding.response()

        threads = [threading.Thread(target=flood), threading.Thread(target=read)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                assert server.get("/hello").body == b"hello\n"
        finally:
            flooding.sock.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


# --- Clients that disconnect ---


def test_half_closed_client_gets_its_answer(server: Server) -> None:
    """RFC 9112 9.6: a client that has sent FIN may still read the response."""
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/leave")
        client.finish()
        assert client.response().body == b"farewell\n"
        assert client.nothing()
    server.app_log("left", mark)


def test_half_closed_client_gets_all_of_its_answers(server: Server) -> None:
    """The FIN is noticed after pipelined requests that are not read yet, and these are answered as well."""
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/leave")
        server.app_log("waiting", mark)
        client.send(pipelined("/target?2", "/target?3"))
        client.finish()
        assert client.response().body == b"farewell\n"
        assert [client.response().body for _ in range(2)] == [b"2", b"3"]
        assert client.nothing()


def test_fin_after_much_unread_data(server: Server) -> None:
    """More than the server would ever read ahead."""
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/leave")
        server.app_log("waiting", mark)
        count = 2000
        client.send(pipelined(*["/target?x"] * count))
        client.finish()
        server.app_log("left", mark)
        assert client.response().body == b"farewell\n"
        assert [client.response().body for _ in range(count)] == [b"x"] * count


@pytest.mark.parametrize("behind", [0, 1, 2000])
@pytest.mark.parametrize("before", [1, 3])
def test_half_closed_client_pipelines_before_a_listening_application(server: Server, before: int, behind: int) -> None:
    """The FIN was seen when another request was in flight; each later one has to see it, too."""
    mark = server.log.mark()
    with server.connect() as client:
        client.send(pipelined(*["/hello"] * before, "/leave", *["/target?behind"] * behind))
        client.finish()
        assert [client.response().body for _ in range(before)] == [b"hello\n"] * before
        server.app_log("left", mark)
        assert client.response().body == b"farewell\n"
        assert [client.response().body for _ in range(behind)] == [b"behind"] * behind
        assert client.nothing()


def test_client_that_disconnects_from_an_idle_event_stream(server: Server) -> None:
    """The application ends without an end of its response, after it was notified of the disconnect: not an error."""
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/events")
        assert client.head()[1] == 200
    server.app_log("events closed", mark)
    assert server.get("/hello").status == 200
    assert "ERROR" not in server.log.since(mark)


def in_the_head(client: Client, server: Server) -> None:
    client.send(b"GET /hello HTTP/1.1\r\nHost: te")


def in_the_body(client: Client, server: Server) -> None:
    mark = server.log.mark()
    client.send(b"POST /messages HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf")
    server.app_log("message", mark)


def in_the_application(client: Client, server: Server) -> None:
    mark = server.log.mark()
    client.request("/leave")
    server.app_log("waiting", mark)


def in_the_response(client: Client, server: Server) -> None:
    client.request("/flood")
    client.head()


def in_an_event_stream(client: Client, server: Server) -> None:
    client.request("/events")
    client.head()


def behind_the_response(client: Client, server: Server) -> None:
    client.get("/hello")


def before_the_answers(client: Client, server: Server) -> None:
    client.send(pipelined(*["/large?100000"] * 20))


def behind_an_error(client: Client, server: Server) -> None:
    client.send(b"nonsense\r\n\r\n")


def at_once(client: Client, server: Server) -> None:
    pass


STATES = [
    at_once,
    in_the_head,
    in_the_body,
    in_the_application,
    in_the_response,
    in_an_event_stream,
    behind_the_response,
    before_the_answers,
    behind_an_error,
]


@pytest.mark.parametrize("end", [Client.reset, Client.close], ids=["reset", "close"])
@pytest.mark.parametrize("reach", STATES, ids=lambda reach: reach.__name__)
def test_client_breaks_off(
    shared: Callable[..., Server],
    reach: Callable[[Client, Server], None],
    end: Callable[[Client], None],
) -> None:
    """Nothing is logged as an error, nothing leaks, and the others are served."""
    server = shared("--no-access-log")
    server.get("/hello")
    files, start = server.open_files(), server.log.mark()
    for _ in range(3):
        client = server.connect()
        reach(client, server)
        end(client)
        assert server.get("/hello").body == b"hello\n"
    until(lambda: server.open_files() <= files, "the connections to be closed")
    assert "Traceback" not in server.log.since(start)
    assert "ERROR" not in server.log.since(start)


@pytest.mark.parametrize("field", [b"A: b", b"Connection: close"])
@pytest.mark.parametrize("path", ["/block", "/block-and-raise", "/block-and-stream", "/block-and-flood"])
def test_client_breaks_off_while_the_loop_is_blocked(server: Server, path: str, field: bytes) -> None:
    """The server does not know of the disconnect yet: its own attempt to send fails, inside the application."""
    for number in range(3):
        mark = server.log.mark()
        with server.connect() as client:
            client.request(f"{path}?0.05", field)
            server.app_log("blocking", mark)
            client.send(b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n" * number)
            client.reset()
        assert server.get("/hello").body == b"hello\n"
    assert "internal error" not in server.log.text


def test_many_clients_connect_and_abort(server: Server) -> None:
    """CVE-2024-49769 (waitress): peers that are gone before they are looked at must not use anything up."""
    files = server.open_files()
    for _ in range(500):
        server.connect().reset()
    assert server.get("/hello").body == b"hello\n"
    until(lambda: server.open_files() <= files + 2, "the connections to be closed")


def test_endless_stream_that_never_receives_is_ended_after_its_client_has_left(server: Server) -> None:
    """By an OSError (ASGI HTTP, "Disconnected Client"), which the application lets pass and the server does not log."""
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/flood")
        client.head()
        client.reset()
    assert server.app_log("flood ended", mark).endswith(" True")
    assert server.get("/hello").status == 200
    assert "Traceback" not in server.log.since(mark)
    assert "ERROR" not in server.log.since(mark)


def test_disconnect_is_reported_after_a_reset(server: Server) -> None:
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/leave")
        server.app_log("waiting", mark)
        client.reset()
    server.app_log("left", mark)
    # A send() after that is not an error before spec version 2.4, and the scope has 2.3.
    server.app_log("answered nobody", mark)
    assert "Traceback" not in server.log.since(mark)


# --- Heads that are sent early ---


@pytest.mark.parametrize("path", ["/events", "/events-by-empty-body"])
def test_head_is_sent_before_the_first_event(server: Server, path: str) -> None:
    """An EventSource is open once it has the head, long before there is an event."""
    with server.connect() as client:
        client.request(path)
        _, status, _, headers = client.head()
        assert status == 200
        assert (b"transfer-encoding", b"chunked") in headers


def test_pieces_are_sent_at_once(server: Server) -> None:
    with server.connect() as client:
        client.request("/slow-pieces", b"Transfer-Encoding: chunked", method="POST")
        client.send(b"1\r\na\r\n")
        assert client.head()[1] == 200
        assert client.chunk() == b"a"
        client.send(b"1\r\nb\r\n")
        assert client.chunk() == b"b"
        client.send(b"0\r\n\r\n")
        assert client.chunk() == b"end"
        assert client.chunk() == b""
        assert client.get("/hello").body == b"hello\n"


# --- Many at a time ---


def test_many_connections(server: Server) -> None:
    with many(300, server.connect) as clients:
        for client in clients:
            client.request("/hello")
        assert {client.response().body for client in clients} == {b"hello\n"}
        for client in reversed(clients):
            assert client.get("/target?again").body == b"again"
