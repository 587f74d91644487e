"""Large bodies that arrive fast: the WSGI application reads them while they arrive, with a limited number of threads.

Whether a body arrives fast depends on the machine. So each test repeats its request until one was called early: either
the application is called before the end of the body, or a temporary file is opened.
"""

import hashlib
import signal
from collections.abc import Callable

from tests.e2e.test_wsgi_bodies import spools
from tests.helpers import Client, Server, many, until

FIRST = bytes(range(256)) * 300  # 76,800 bytes: more than the request buffer of these tests
REST = bytes(reversed(range(256))) * 800  # 204,800 bytes
SMALL_REST = REST[:1000]
BUFFER = ("--request-buffer", "64K")


def start_upload(server: Server, path: str, rest: bytes = REST) -> tuple[Client, bool]:
    """Sends the first bytes of a body. Returns the client, and whether the application was called early."""
    mark = server.log.mark()
    client = server.connect()
    client.request(path, b"Content-Length: %d" % (len(FIRST) + len(rest)), method="POST")
    client.send(FIRST)

    def is_called() -> bool:
        return f"called: {path}" in server.log.since(mark)

    until(lambda: is_called() or spools(server), "the call, or a file")
    return client, is_called()


def early_call(server: Server, path: str, rest: bytes = REST) -> Client:
    """Returns a client whose application was called before the end of its body."""
    for _ in range(50):
        client, is_early = start_upload(server, path, rest)
        if is_early:
            return client
        client.reset()
        until(lambda: not spools(server), "the file to be closed")
    raise AssertionError("no call was early")


def test_the_application_reads_a_body_while_it_arrives(shared_wsgi: Callable[..., Server]) -> None:
    """And the next request of the connection starts after exactly this body."""
    server = shared_wsgi(*BUFFER)
    with early_call(server, "/digest") as client:
        for start in range(0, len(REST), 50_000):
            client.send(REST[start : start + 50_000])
        assert client.response().body == hashlib.sha256(FIRST + REST).hexdigest().encode()
        assert not spools(server)
        assert client.get("/hello").body == b"hello\n"
        client.request("/digest", b"Content-Length: %d" % len(FIRST + REST), method="POST")
        client.send(FIRST + REST + b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n")
        assert client.response().body == hashlib.sha256(FIRST + REST).hexdigest().encode()
        assert client.response().body == b"hello\n"
    until(lambda: not spools(server), "the files to be closed")


def test_an_application_need_not_read_its_body(shared_wsgi: Callable[..., Server]) -> None:
    """Its client gets the response at once. A short rest is discarded, a long one ends the connection."""
    server = shared_wsgi(*BUFFER)
    with early_call(server, "/first-bytes", SMALL_REST) as client:
        response = client.response()
        assert (response.body, response.closing) == (FIRST[:5], False)
        client.send(SMALL_REST)
        assert client.get("/hello").body == b"hello\n"
    with early_call(server, "/first-bytes") as client:
        response = client.response()
        assert (response.body, response.closing) == (FIRST[:5], True)
        client.send(REST)
        client.finish()
        assert client.gone()


def test_a_body_that_breaks_off_is_an_error(shared_wsgi: Callable[..., Server]) -> None:
    server = shared_wsgi(*BUFFER)
    for leave in ("finish", "reset"):
        with early_call(server, "/digest") as client:
            mark = server.log.mark()
            client.send(REST[:1000])
            getattr(client, leave)()
            server.log.wait_for("body broke off: ClientDisconnected", mark)
        assert server.get().status == 200
        assert "Traceback" not in server.log.since(mark)


def test_a_client_that_stops_sending(shared_wsgi: Callable[..., Server]) -> None:
    server = shared_wsgi(*BUFFER, "--timeout-request-body", "0.3")
    with early_call(server, "/digest") as client:
        mark = server.log.mark()
        client.send(REST[:1000])
        response = client.response()
        assert (response.status, response.closing) == (408, True)
        server.log.wait_for("body broke off: ClientDisconnected", mark)
        server.log.wait_for("rejected request: status 408", mark)
        assert "Traceback" not in server.log.since(mark)
    assert server.get().status == 200


def test_a_quarter_of_the_threads_wait_for_bodies(shared_wsgi: Callable[..., Server]) -> None:
    """Clients that stop sending cannot take all threads: further bodies go to files."""
    server = shared_wsgi(*BUFFER, "--threads", "4")
    with early_call(server, "/digest") as first, many(3, lambda: start_upload(server, "/digest")[0]) as others:
        for _ in range(5):
            assert server.get().body == b"hello\n"
        assert len(spools(server)) == 3
        for client in (*others, first):
            client.send(REST)
            assert client.response().body == hashlib.sha256(FIRST + REST).hexdigest().encode()
    with early_call(server, "/digest") as client:
        client.send(REST)
        assert client.response().status == 200


def test_few_threads_wait_for_no_body(shared_wsgi: Callable[..., Server]) -> None:
    server = shared_wsgi(*BUFFER, "--threads", "3")
    client, is_early = start_upload(server, "/digest")
    with client:
        assert not is_early
        client.send(REST)
        assert client.response().body == hashlib.sha256(FIRST + REST).hexdigest().encode()


def test_the_input_is_of_no_use_after_the_call(shared_wsgi: Callable[..., Server]) -> None:
    server = shared_wsgi(*BUFFER)
    with early_call(server, "/keep-input", SMALL_REST) as client:
        assert client.response().body == b"kept"
        assert b"input: ValueError" in server.get("/use-kept").body
        client.send(SMALL_REST)
        assert client.get("/hello").body == b"hello\n"


def test_a_stop_does_not_wait_for_a_stalled_body(start_wsgi: Callable[..., Server]) -> None:
    server = start_wsgi(*BUFFER, "--timeout-stop", "30")
    with early_call(server, "/digest") as client:
        server.signal(signal.SIGTERM)
        assert client.response().status == 408
    assert server.wait() == 0
