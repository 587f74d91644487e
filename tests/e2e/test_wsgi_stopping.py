"""Graceful shutdown with WSGI applications, and effects of such applications on their process."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.test_stopping import stopping
from tests.helpers import SHORT_STOP, Client, Gate, Server, many


def hold(server: Server, gate: Gate) -> Client:
    """A client whose request runs until the gate opens."""
    client = server.connect()
    mark = server.log.mark()
    client.request(gate.target)
    server.app_log("holding", mark)
    return client


# --- Stopping ---


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_call_in_flight_is_finished(start_wsgi: Callable[..., Server], gate: Gate, number: signal.Signals) -> None:
    server = start_wsgi()
    with hold(server, gate) as client:
        stopping(server, number)
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(0.2)
        gate.open()
        response = client.response()
        assert response.body == b"held\n"
        assert response.closing
        assert client.nothing()
    assert server.wait() == 0
    assert "Traceback" not in server.log.text


def test_stream_is_finished(start_wsgi: Callable[..., Server]) -> None:
    """Its gate is opened through a connection that was just used, and so gets one more request."""
    server = start_wsgi()
    with server.connect() as client, server.connect() as first, server.connect() as second:
        client.request("/blocks?stop")
        client.head()
        assert client.chunk() == b"one"
        assert [other.get("/hello").status for other in (first, second)] == [200, 200]
        stopping(server)
        assert first.get("/open?stop1").status == 200
        assert client.chunk() == b"two"
        assert second.get("/open?stop2").status == 200
        assert [client.chunk(), client.chunk()] == [b"three", b""]
        assert client.nothing()
    assert server.wait() == 0


def test_thread_locals_of_applications_are_freed_before_exit(start_wsgi: Callable[..., Server]) -> None:
    server = start_wsgi()
    assert server.get("/keep-in-thread").body == b"kept\n"
    server.stop()
    assert "app: thread-local data is gone" in server.log.text


def test_body_in_flight_is_finished(start_wsgi: Callable[..., Server]) -> None:
    server = start_wsgi()
    with server.connect() as client:
        client.request("/echo", b"Content-Length: 10", method="POST")
        client.send(b"hello")
        server.get()
        stopping(server)
        client.send(b"world")
        response = client.response()
        assert (response.body, response.closing) == (b"helloworld", True)
    assert server.wait() == 0


@pytest.mark.parametrize("path", ["/hold", "/burn?1000"])
def test_stop_has_an_end(start_wsgi: Callable[..., Server], gate: Gate, path: str) -> None:
    """A thread cannot be cancelled: the process exits without waiting for it."""
    server = start_wsgi(*SHORT_STOP)
    with server.connect() as client:
        client.request(gate.target if path == "/hold" else path)
        server.log.wait_for("app: (holding|burning)")
        stopping(server)
        assert client.gone()
    assert server.wait() == 0
    server.log.wait_for("requests abandoned: 1")
    assert "Fatal" not in server.log.text


def test_quit_is_quick(start_wsgi: Callable[..., Server], gate: Gate) -> None:
    server = start_wsgi()
    with hold(server, gate) as client:
        server.signal(signal.SIGQUIT)
        assert client.gone()
    assert server.wait() == 0


def test_second_interrupt_forces(start_wsgi: Callable[..., Server], gate: Gate) -> None:
    server = start_wsgi()
    with hold(server, gate) as client:
        stopping(server, signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(0.2)
        server.signal(signal.SIGINT)
        assert client.gone()
    assert server.wait() == 0


def test_second_term_does_not_force(start_wsgi: Callable[..., Server], gate: Gate) -> None:
    server = start_wsgi()
    with hold(server, gate) as client:
        stopping(server)
        server.signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(0.2)
        gate.open()
        assert client.response().body == b"held\n"
    assert server.wait() == 0


def test_stop_of_an_idle_server(start_wsgi: Callable[..., Server]) -> None:
    server = start_wsgi()
    with server.connect() as idle:
        assert idle.get().status == 200
        time.sleep(1.1)  # as long as a connection counts as in use
        server.signal(signal.SIGTERM)
        assert idle.nothing()
    assert server.wait() == 0
    assert "Traceback" not in server.log.text
    assert "WARNING" not in server.log.text


def test_stop_of_a_server_that_was_never_asked(start_wsgi: Callable[..., Server]) -> None:
    server = start_wsgi()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


def test_stop_while_a_thread_waits_for_output_space(start_wsgi: Callable[..., Server]) -> None:
    server = start_wsgi(*SHORT_STOP)
    with many(3, lambda: Client(server.address, buffer=4096)) as readers:
        for reader in readers:
            reader.request("/pieces?200")
            reader.exactly(100)
        stopping(server)
        assert server.wait() == 0
    assert server.log.text.count("closed: pieces") == 3, "the threads were told, and could leave"


def test_idle_server_sleeps(start_wsgi: Callable[..., Server]) -> None:
    """Neither the threads nor their watchdog wake up while there are no requests."""
    server = start_wsgi("--no-access-log")
    with server.connect() as client:
        assert client.get("/nap?0.02").status == 200
        assert client.get("/hello").status == 200
        time.sleep(0.5)

        def switches() -> int:
            return sum(
                int(line.split()[1])
                for task in Path(f"/proc/{server.pid}/task").iterdir()
                for line in (task / "status").read_text().splitlines()
                if "ctxt_switches" in line
            )

        before = switches()
        time.sleep(1)
        assert switches() - before <= 10


# --- Effects of applications on their process ---


@pytest.mark.parametrize("options", [(), ("--threads", "1")], ids=["auto", "one thread"])
@pytest.mark.parametrize("end", ["exit", "raise", "answer"])
def test_forked_child_does_not_serve_on(start_wsgi: Callable[..., Server], options: tuple[str, ...], end: str) -> None:
    """The child exits at the end of the application call that forked it, sends no response and logs nothing."""
    server = start_wsgi(*options)
    with server.connect() as client:
        for _ in range(3):
            assert client.get().body == b"hello\n"
            response = client.get(f"/fork-and-end?{end}")
            assert response.status == 200
            assert int(response.body) == {"exit": 7}.get(end, int(response.body))
            assert int(response.body) != -signal.SIGALRM, "the child lived on"
            assert int(response.body) >= 0, "the child crashed"
    server.stop()
    assert server.output is not None
    requests = [line.split('"')[1] for line in server.output.text.splitlines()]
    assert requests == ["GET /hello HTTP/1.1", f"GET /fork-and-end?{end} HTTP/1.1"] * 3


def test_command_of_an_application(wsgi: Server) -> None:
    with wsgi.connect() as client:
        for _ in range(3):
            assert client.get("/command").body == b"told\n"
            assert client.get("/hello").body == b"hello\n"
