"""Which threads call a WSGI application, how many at once, and the server while all of them are busy."""

import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import Client, Gate, Server, many, measures_memory, until


def stats(server: Server) -> dict[str, int]:
    """Returns the threads that ever ran the application, calls, maximum concurrent calls; this one included."""
    counted = json.loads(server.get("/stats").body)
    assert isinstance(counted, dict)
    return counted


def native_threads(server: Server) -> int:
    return len(list(Path(f"/proc/{server.pid}/task").iterdir()))


def occupy(server: Server, client: Client, name: str) -> None:
    """Keeps a thread busy until /open with the same name."""
    client.request(f"/wait?{name}")
    server.log.wait_for(f"waiting: {name}$")


@contextlib.contextmanager
def all_busy(server: Server, gate: Gate, threads: int) -> Iterator[list[Client]]:
    """Keeps that many threads busy, which are all that there are, until the gate is opened for them."""
    mark = server.log.mark()
    with many(threads, server.connect) as clients:
        for client in clients:
            client.request(gate.target)
        until(lambda: server.log.since(mark).count("app: holding") == threads, "all threads to be busy")
        yield clients


# --- How many ---


def test_blocking_calls_run_together(start_wsgi: Callable[..., Server]) -> None:
    """As many as there are, without any setting."""
    server = start_wsgi()
    with many(20, server.connect) as clients:
        for number, client in enumerate(clients):
            occupy(server, client, f"together{number}")
        assert server.get().body == b"hello\n"
        for number, client in reversed(list(enumerate(clients))):
            assert server.get(f"/open?together{number}").status == 200
            assert client.response().body == b"waited\n"


def test_call_that_never_blocked_before(wsgi: Server, gate: Gate) -> None:
    """Nothing that was learned of a path may let others wait when it is slow for once."""
    with wsgi.connect() as client:
        for _ in range(300):
            gate.open()
            assert client.get(gate.target).status == 200
        mark = wsgi.log.mark()
        client.request(gate.target)
        wsgi.app_log("holding", mark)
        for _ in range(5):
            assert wsgi.get().status == 200
        gate.open()
        assert client.response().status == 200


@pytest.mark.parametrize("connections", [1, pytest.param(4, marks=pytest.mark.extended), 16])
def test_few_threads_ever_run_the_application(start_wsgi: Callable[..., Server], connections: int) -> None:
    """At k requests at once, at most k + 2: each may have a database connection of its own."""
    server = start_wsgi("--no-access-log")
    paths = ("/hello", "/nap?0.003", "/hello", "/burn?0.002", "/stream", "/nap?0.0001")
    failures: list[BaseException] = []

    def visit(number: int) -> None:
        try:
            with server.connect() as client:
                for turn in range(60):
                    assert client.get(paths[(turn + number) % len(paths)]).status == 200
        except BaseException as error:
            failures.append(error)

    visitors = [threading.Thread(target=visit, args=(number,)) for number in range(connections)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert not failures
    counted = stats(server)
    assert counted["calls"] == 60 * connections + 1
    assert counted["most"] <= connections
    assert counted["threads"] <= connections + 2


@pytest.mark.extended
def test_idle_threads_exit(start_server: Callable[..., Server]) -> None:
    server = start_server(app="wsgi_apps:app")
    assert server.get().status == 200
    before = native_threads(server)
    with many(20, server.connect) as clients:
        for number, client in enumerate(clients):
            occupy(server, client, f"leave{number}")
        assert native_threads(server) >= 20
        for number, client in enumerate(clients):
            assert server.get(f"/open?leave{number}").status == 200
            assert client.response().status == 200
    until(lambda: native_threads(server) <= before + 4, "threads to leave", timeout=60)
    assert server.get().status == 200


@pytest.mark.parametrize(("option", "threads"), [("--threads", 1), ("--threads", 3), ("--max-threads", 3)])
def test_a_request_without_a_free_thread_waits(
    start_wsgi: Callable[..., Server], gate: Gate, option: str, threads: int
) -> None:
    """In order of arrival; and not one call more than was asked for runs at once."""
    server = start_wsgi(option, str(threads))
    with all_busy(server, gate, threads) as busy, many(6, server.connect) as waiting:
        for number, client in enumerate(waiting):
            client.request(f"/target?{number}")
        assert waiting[0].silent()
        gate.open(threads)
        for client in busy:
            assert client.response().body == b"held\n"
        for number, client in enumerate(waiting):
            assert client.response().body == b"%d" % number
        counted = stats(server)
        assert counted["most"] == threads
        assert counted["threads"] <= threads + 1 if threads > 1 else counted["threads"] == 1


def test_bodies_are_buffered_and_refused_while_all_threads_are_busy(
    start_wsgi: Callable[..., Server], gate: Gate
) -> None:
    server = start_wsgi("--threads", "2", "--max-request-body-size", "1000")
    with all_busy(server, gate, 2) as busy, server.connect() as client, server.connect() as large:
        client.request("/echo", b"Content-Length: 5", b"Expect: 100-continue", method="POST")
        assert client.response().status == 100
        client.send(b"hello")
        large.request("/echo", b"Content-Length: 1001", method="POST")
        assert large.response().status == 413
        with server.connect() as nonsense:
            nonsense.send(b"nonsense\r\n\r\n")
            assert nonsense.response().status == 400
        gate.open(2)
        assert [each.response().body for each in busy] == [b"held\n"] * 2
        assert client.response().body == b"hello"


def test_clients_over_the_limit_are_refused_while_all_threads_are_busy(
    start_wsgi: Callable[..., Server], gate: Gate
) -> None:
    """Requests that wait for a thread count too."""
    server = start_wsgi("--threads", "2", "--limit-concurrency", "3")
    with all_busy(server, gate, 2) as busy, server.connect() as waiting, server.connect() as refused:
        waiting.request("/echo", b"Content-Length: 5", b"Expect: 100-continue", method="POST")
        assert waiting.response().status == 100
        waiting.send(b"hello")
        for _ in range(3):
            response = refused.get("/hello")
            assert response.status == 503
            assert response.header(b"retry-after")
        gate.open(2)
        assert [client.response().status for client in (*busy, waiting)] == [200, 200, 200]
        # A call may return a little after its response arrives.
        until(lambda: refused.get("/hello").status == 200, "the calls to have returned")


def test_deadlines_are_held_while_all_threads_are_busy(start_wsgi: Callable[..., Server], gate: Gate) -> None:
    server = start_wsgi(
        *("--threads", "2", "--timeout-request-header", "0.2", "--timeout-keep-alive", "1"),
        *("--timeout-request-body", "0.2"),
    )
    with server.connect() as idle, server.connect() as head, server.connect() as body:
        assert idle.get("/hello").status == 200
        with all_busy(server, gate, 2) as busy:
            head.send(b"GET / HT")
            assert head.response().status == 408
            body.request("/echo", b"Content-Length: 5", method="POST")
            assert body.response().status == 408
            assert idle.nothing()
            gate.open(2)
            assert [client.response().status for client in busy] == [200, 200]


def test_clients_that_disconnect_while_all_threads_are_busy(start_wsgi: Callable[..., Server], gate: Gate) -> None:
    """They get no response; the application is called for them at most once."""
    server = start_wsgi("--threads", "1")
    with all_busy(server, gate, 1) as (busy,), many(9, server.connect) as leaving, server.connect() as staying:
        for client in leaving:
            client.request("/echo", b"Content-Length: 1", method="POST")
            client.send(b"x")
        staying.request("/hello")
        for number, client in enumerate(leaving):
            (client.reset, client.close, client.finish)[number % 3]()
        gate.open()
        assert busy.response().status == 200
        for client in leaving[2::3]:  # has finished sending, and waits for its answer
            assert client.response().body == b"x"
        assert staying.response().body == b"hello\n"
    server.stop()
    assert 3 <= server.log.text.count("called: /echo") <= 9


def test_stop_while_all_threads_are_busy(start_wsgi: Callable[..., Server], gate: Gate) -> None:
    """Running and waiting requests are finished."""
    server = start_wsgi("--threads", "2")
    with all_busy(server, gate, 2) as busy, server.connect() as waiting:
        waiting.request("/hello")
        assert waiting.silent()
        server.signal(signal.SIGTERM)
        server.log.wait_for("stopping")
        gate.open(2)
        assert [client.response().body for client in (*busy, waiting)] == [b"held\n", b"held\n", b"hello\n"]
    assert server.wait() == 0


# --- One thread ---


def test_one_thread_serves_one_request_at_a_time(start_wsgi: Callable[..., Server]) -> None:
    """And it is the same one for all, in which the answer is iterated and closed, too."""
    server = start_wsgi("--threads", "1")
    seen: list[bytes] = []

    def visit() -> None:
        with server.connect() as client:
            for turn in range(30):
                assert client.get(("/nap?0.002", "/hello", "/burn?0.002", "/write")[turn % 4]).status == 200
                seen.append(client.get("/thread").body)

    visitors = [threading.Thread(target=visit) for _ in range(8)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    assert len(seen) == 240
    (both,) = set(seen)
    called, iterated = both.split()
    assert called == iterated
    counted = stats(server)
    assert (counted["threads"], counted["most"]) == (1, 1)
    until(lambda: server.log.text.count(f"closed in: {called.decode()}\n") == 240, "every answer to be closed")


def test_one_thread_finishes_an_answer_before_it_starts_the_next(start_wsgi: Callable[..., Server], gate: Gate) -> None:
    """Even if the response is iterated for long, the application is never entered twice."""
    server = start_wsgi("--threads", "1")
    with server.connect() as streaming, server.connect() as other:
        streaming.request("/pieces?400")
        assert streaming.head()[1] == 200
        other.request("/hello")
        assert other.silent(), "the application was called while its thread waited for a slow client"
        size = 0
        while piece := streaming.chunk():
            size += len(piece)
        assert size == 400 * 65536
        assert other.response().body == b"hello\n"


@pytest.mark.parametrize(("options", "expected"), [((), True), (("--threads", "1"), False), (("--threads", "2"), True)])
def test_multithread(shared_wsgi: Callable[..., Server], options: tuple[str, ...], expected: bool) -> None:
    environ = json.loads(shared_wsgi(*options).get("/environ").body)
    assert environ["wsgi.multithread"] is expected


# --- Slow readers ---


def test_slow_readers_of_moderate_answers_hold_no_thread(start_wsgi: Callable[..., Server]) -> None:
    """200 clients that read nothing; the application has one thread."""
    server = start_wsgi("--threads", "1", "--timeout-write", "0")
    with many(200, lambda: Client(server.address, buffer=4096)) as readers:
        for reader in readers:
            reader.request("/large?500000")
        for _ in range(5):
            assert server.get().body == b"hello\n"
        for reader in readers[:20]:
            assert reader.response().body == b"x" * 500_000
        for reader in readers[20:]:
            reader.reset()
    assert server.get().status == 200


@pytest.mark.parametrize("path", ["/pieces?200", "/write-pieces?200"])
def test_slow_reader_of_a_large_answer_holds_only_its_own_thread(wsgi: Server, path: str) -> None:
    with Client(wsgi.address, buffer=4096) as reader:
        reader.request(path)
        assert reader.head()[1] == 200
        for _ in range(5):
            assert wsgi.get().status == 200
        size = 0
        while piece := reader.chunk():
            size += len(piece)
        assert size == 200 * 65536


@pytest.mark.parametrize("path", ["/pieces?200", "/write-pieces?200", "/large?20000000"])
def test_reader_that_stops_has_an_end(shared_wsgi: Callable[..., Server], path: str) -> None:
    """The write-stall limit frees the thread, and the answer is closed."""
    server = shared_wsgi("--threads", "1", "--timeout-write", "0.3")
    mark = server.log.mark()
    with Client(server.address, buffer=4096) as reader:
        reader.request(path)
        reader.exactly(100)
        assert server.get().status == 200
        assert reader.gone()
    if path.startswith("/pieces"):
        server.app_log("closed", mark)
    if path.startswith("/write-pieces"):
        assert server.app_log("write raised", mark) == "True"


@pytest.mark.parametrize("path", ["/pieces?200", "/write-pieces?200", "/large?20000000"])
@pytest.mark.parametrize("leave", ["reset", "close"])
def test_client_disconnects_while_its_thread_waits_for_output_space(
    shared_wsgi: Callable[..., Server], path: str, leave: str
) -> None:
    """No other event could wake the thread: it is notified at once."""
    server = shared_wsgi("--threads", "1", "--timeout-write", "0")
    for _ in range(3):
        mark = server.log.mark()
        with Client(server.address, buffer=4096) as reader:
            reader.request(path)
            reader.exactly(100)
            getattr(reader, leave)()
        if path.startswith("/pieces"):
            server.app_log("closed", mark)
        if path.startswith("/write-pieces"):
            assert server.app_log("write raised", mark) == "True"
        assert server.get().status == 200


@measures_memory
def test_unlimited_buffer_would_be_memory(start_wsgi: Callable[..., Server]) -> None:
    """Output queued for a slow client is bounded (--response-buffer), however much the application yields."""
    server = start_wsgi("--response-buffer", "100K", "--no-access-log")
    assert server.get("/pieces?100").status == 200
    before = server.resident()
    with many(10, lambda: Client(server.address, buffer=4096)) as readers:
        for reader in readers:
            reader.request("/pieces?1000")
            reader.exactly(100)
        for _ in range(20):
            assert server.get().status == 200
        assert server.resident() - before < 20_000_000
        for reader in readers:
            reader.reset()


# --- Long calls ---


def test_stuck_call_is_reported(start_wsgi: Callable[..., Server], gate: Gate) -> None:
    """The log has request line, age and stack once, and the call continues."""
    server = start_wsgi("--stuck-report-after", "0.2")
    with server.connect() as client:
        client.request(gate.target)
        server.log.wait_for("GET /hold")
        server.log.wait_for(r"^ +.*in hold$")
        time.sleep(0.5)  # time for a second report
        gate.open()
        assert client.response().body == b"held\n"
    assert server.log.text.count("in hold\n") == 1


def test_short_calls_are_not_reported(start_wsgi: Callable[..., Server]) -> None:
    server = start_wsgi("--stuck-report-after", "0.5")
    with server.connect() as client:
        for _ in range(150):
            assert client.get("/nap?0.005").status == 200
    assert "WARNING" not in server.log.text
    assert server.process.poll() is None


# --- Contexts ---


@pytest.mark.parametrize("options", [(), ("--threads", "1")], ids=["auto", "one thread"])
def test_context_of_a_request_is_its_own(shared_wsgi: Callable[..., Server], options: tuple[str, ...]) -> None:
    """The application is called, iterated and closed in the same context, and the next request has another."""
    server = shared_wsgi(*options)
    mark = server.log.mark()
    with server.connect() as client:
        for _ in range(3):
            assert client.get("/context").body == b"untouched called"
        client.send(b"GET /context HTTP/1.1\r\nHost: test\r\n\r\n" * 3)
        assert [client.response().body for _ in range(3)] == [b"untouched called"] * 3
    until(lambda: server.log.since(mark).count("context at close: iterated\n") == 6, "six contexts to be closed")
