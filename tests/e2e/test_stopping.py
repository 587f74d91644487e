"""Graceful shutdown: requests that are finished, requests that are refused, time limits, the exit code."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.helpers import SHORT_STOP, Client, Server, many, until


def refuses(server: Server) -> bool:
    """Whether the listening sockets are closed."""
    assert isinstance(server.address, tuple)
    try:
        socket.create_connection(server.address).close()
    except ConnectionRefusedError:
        return True
    return False


def stopping(server: Server, number: signal.Signals = signal.SIGTERM) -> None:
    """Sends SIGTERM and waits until the worker has stopped listening, too."""
    server.signal(number)
    until(lambda: refuses(server), "the listener to be closed")


def busy_client(server: Server, path: str) -> Client:
    client = server.connect()
    mark = server.log.mark()
    client.request(path)
    server.app_log("waiting", mark)
    return client


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_request_in_flight_is_finished(start_server: Callable[..., Server], number: signal.Signals) -> None:
    server = start_server()
    with server.connect() as client:
        client.request("/echo", b"Content-Length: 10", method="POST")
        client.send(b"hello")
        server.get()
        stopping(server, number)
        client.send(b"world")
        response = client.response()
        assert response.body == b"helloworld"
        assert response.closing
        assert client.nothing()
    assert server.wait() == 0
    assert "app: shutdown" in server.log.text


def test_stream_is_finished(start_server: Callable[..., Server]) -> None:
    server = start_server()
    with server.connect() as client:
        client.request("/slow-pieces", b"Transfer-Encoding: chunked", method="POST")
        client.send(b"1\r\na\r\n")
        client.head()
        assert client.chunk() == b"a"
        stopping(server)
        client.send(b"1\r\nb\r\n0\r\n\r\n")
        assert [client.chunk(), client.chunk(), client.chunk()] == [b"b", b"end", b""]
        assert client.nothing()
    assert server.wait() == 0


def test_idle_connection_is_closed_at_once(start_server: Callable[..., Server]) -> None:
    """Emmett-Framework/granian#568: idle connections must not hold the server up."""
    server = start_server()
    with server.connect() as client:
        assert client.get().status == 200
        time.sleep(1.1)  # as long as a connection counts as in use
        stopping(server)
        assert client.nothing()
    assert server.wait() == 0


def test_connection_that_was_just_used_gets_one_more_request(start_server: Callable[..., Server]) -> None:
    """It may be on its way already; a reset would be the client's error (benoitc/gunicorn#3038)."""
    server = start_server()
    with server.connect() as client:
        assert client.get().status == 200
        stopping(server)
        response = client.get()
        assert response.body == b"hello\n"
        assert response.closing
        assert client.nothing()
    assert server.wait() == 0


def test_request_that_is_on_its_way_is_served(start_server: Callable[..., Server]) -> None:
    server = start_server()
    with server.connect() as client:
        client.send(b"GET /hello HTTP/1.1\r\nHo")
        server.get()
        stopping(server)
        client.send(b"st: test\r\n\r\n")
        response = client.response()
        assert response.body == b"hello\n"
        assert response.closing
    assert server.wait() == 0


def test_only_one_of_several_pipelined_requests_closes(start_server: Callable[..., Server]) -> None:
    """Requests after a response with `Connection: close` are not processed (RFC 9112 9.6)."""
    server = start_server()
    with busy_client(server, "/wait?x") as client, server.connect() as other:
        client.request("/target?behind")
        assert other.get().status == 200
        stopping(server)
        assert other.get("/open?x").status == 200
        responses = [client.response()]
        while not responses[-1].closing:
            responses.append(client.response())
        assert client.nothing()
    assert [response.body for response in responses] in ([b"waited\n"], [b"waited\n", b"behind"])
    assert server.wait() == 0


def test_connections_in_the_backlog_are_served(start_server: Callable[..., Server]) -> None:
    """Their handshake is done: to their clients they are accepted (benoitc/gunicorn#3038)."""
    server = start_server()
    mark = server.log.mark()
    with server.connect() as blocking:
        blocking.request("/block?0.5")
        server.app_log("blocking", mark)
        with server.connect() as client:
            client.request()
            server.signal(signal.SIGTERM)
            assert blocking.response().body == b"blocked\n"
            assert client.response().body == b"hello\n"
            assert client.nothing()
    assert server.wait() == 0


def test_graceful_stop_has_an_end(start_server: Callable[..., Server]) -> None:
    server = start_server(*SHORT_STOP)
    with busy_client(server, "/wait?for-ever") as client:
        stopping(server)
        assert client.gone()
        assert server.wait() == 0
    server.log.wait_for("requests abandoned: 1")
    assert "app: shutdown" in server.log.text


def test_event_stream_does_not_hold_the_server_up(start_server: Callable[..., Server]) -> None:
    """Kludex/uvicorn#2943 and many others: it hangs for ever with one client that listens. It has no limit here."""
    server = start_server("--timeout-stop", "0")
    with server.connect() as client:
        client.request("/events")
        client.head()
        stopping(server)
        assert client.gone()
        assert server.wait() == 0
    assert "app: events closed" in server.log.text
    assert " ERROR " not in server.log.text


def test_long_poll_is_answered_503(start_server: Callable[..., Server]) -> None:
    """The application gets http.disconnect, and returns without a response."""
    server = start_server("--timeout-stop", "0")
    with server.connect() as client:
        mark = server.log.mark()
        client.request("/poll")
        server.app_log("polling", mark)
        stopping(server)
        response = client.response()
        assert (response.status, response.closing) == (503, True)
        assert server.wait() == 0
    assert " ERROR " not in server.log.text


def test_clients_that_send_half_and_never_close_do_not_hold_the_server_up(start_server: Callable[..., Server]) -> None:
    """Half a head, half a body, and no client closes its side."""
    server = start_server("--timeout-stop", "0")
    with server.connect() as head, server.connect() as body, server.connect() as unused:
        head.send(b"GET / HT")
        body.request("/size", b"Content-Length: 10", method="POST")
        body.send(b"hello")
        assert server.get().status == 200
        stopping(server)
        assert body.response().status == 408
        assert head.nothing()
        assert unused.nothing()
        assert server.wait() == 0
    assert "request body not complete while the server stops: POST /size" in server.log.text


def test_event_source_that_reconnects_is_not_answered(start_server: Callable[..., Server]) -> None:
    """It would hold the stop up for as long as its stream lasts; it reacts to the close by a new connection."""
    server = start_server("--timeout-stop", "0")
    with server.connect() as client:
        assert client.get("/stream").status == 200
        stopping(server)
        client.request("/events", b"Accept: text/event-stream")
        assert client.nothing()
    assert server.wait() == 0


def test_second_interrupt_forces(start_server: Callable[..., Server]) -> None:
    server = start_server()
    with busy_client(server, "/wait?for-ever") as client:
        stopping(server, signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(0.2)
        server.signal(signal.SIGINT)
        assert client.gone()
        assert server.wait() == 0
    assert "app: shutdown" in server.log.text


def test_second_term_does_not_force(start_server: Callable[..., Server]) -> None:
    """Process managers like to repeat it."""
    server = start_server()
    with busy_client(server, "/wait?x") as client, server.connect() as other:
        assert other.get().status == 200
        stopping(server)
        server.signal(signal.SIGTERM)
        assert other.get("/open?x").status == 200
        assert client.response().body == b"waited\n"
    assert server.wait() == 0


def test_quit_is_quick(start_server: Callable[..., Server]) -> None:
    server = start_server()
    with busy_client(server, "/wait?for-ever") as client:
        server.signal(signal.SIGQUIT)
        assert client.gone()
        assert server.wait() == 0


def test_stop_of_an_idle_server(start_server: Callable[..., Server]) -> None:
    server = start_server()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "Traceback" not in server.log.text
    assert "WARNING" not in server.log.text


def test_stop_while_clients_are_slow(start_server: Callable[..., Server]) -> None:
    """Half a head, half a body, an unread response: none of them delays the stop beyond the limit."""
    server = start_server(*SHORT_STOP)
    with server.connect() as head, server.connect() as body, Client(server.address, buffer=4096) as reader:
        head.send(b"GET / HT")
        body.request("/size", b"Content-Length: 10", method="POST")
        reader.request("/large?20000000")
        reader.exactly(100)
        stopping(server)
        assert server.wait() == 0


def test_graceful_stop_under_load(start_any: Callable[..., Server]) -> None:
    """Requests arrive until the last moment: every response is whole, and the last one has Connection: close."""
    server = start_any("--no-access-log")
    paths = [b"/stream", b"/nap?0.001", b"/hello"]
    count = 200
    with many(20, server.connect) as clients:
        for client in clients:
            for number in range(count):
                client.send(b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n" % paths[number % 3])
        clients[0].response()
        server.signal(signal.SIGTERM)
        for client in clients:
            # Clients that had all of them before get no more.
            for number in range(client is clients[0], count):
                response = client.response()
                assert response.body == [b"one\ntwo\nthree\n", b"slept\n", b"hello\n"][number % 3]
                if response.closing:
                    break
            assert client.nothing()
    assert server.wait() == 0
    assert "Traceback" not in server.log.text
    assert "WARNING" not in server.log.text


@pytest.mark.parametrize("signals", [[signal.SIGINT, signal.SIGINT], [signal.SIGQUIT]])
def test_quick_stop_under_load(start_any: Callable[..., Server], signals: list[signal.Signals]) -> None:
    server = start_any("--no-access-log")
    with many(20, server.connect) as clients:
        for client in clients:
            client.send(b"GET /nap?0.001 HTTP/1.1\r\nHost: test\r\n\r\nGET /stream HTTP/1.1\r\nHost: test\r\n\r\n" * 50)
        clients[0].response()
        for number in signals:
            server.signal(number)
        for client in clients:
            assert client.gone()
    assert server.wait() == 0
    assert "Traceback" not in server.log.text
