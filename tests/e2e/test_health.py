"""Health checks of a running server."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.e2e.test_access_log import lines_of
from tests.helpers import WAIT_SECONDS, Client, Output, Server, until

# A flag in /proc/net/unix (linux/net.h).
SO_ACCEPTCON = 0x10000

SLOW = """
import pathlib, sys, time
print("loading", file=sys.stderr, flush=True)
while not pathlib.Path("gate").exists():
    time.sleep(0.01)
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]
"""


def start_slow(folder: Path, socket: Path) -> tuple[subprocess.Popen[bytes], Output]:
    """Starts a server with slow.py of this folder, and returns it and its log."""
    options = ["--bind", f"unix:{socket}", "--health-path", "/up", "--app-dir", str(folder)]
    command = [sys.executable, "-m", "ianus", *options, "slow:app"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=folder)
    assert server.stderr is not None
    return server, Output(server.stderr)


def test_health_checks_are_answered_and_not_logged(shared_wsgi: Callable[..., Server]) -> None:
    server = shared_wsgi("--health-path", "/up", "--mount", "/up=apps:app", "--max-requests", "1000")
    response = server.get("/up")
    assert (response.status, response.body) == (200, b"200 OK\n")
    (line,) = lines_of(server, ("/up",), ("/hello",))
    assert "/hello" in line
    assert server.get("/up/other").status == 404, "the mount has all other paths"


def test_the_admin_socket_shows_workers_that_answer_nothing(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    path = tmp_path / "admin.sock"
    server = start_server("--admin-bind", f"unix:{path}", "--timeout", "0")
    with server.connect() as client:
        assert client.get().status == 200
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with Client(str(path)) as admin:
                assert admin.get("/-/ready").status == 200
            with Client(str(path)) as admin:
                status = json.loads(admin.get("/-/status").body)
        finally:
            os.kill(server.pid, signal.SIGCONT)
    (worker,) = status.pop("workers")
    assert (status["pid"], status["state"], status["workers_wanted"]) == (server.process.pid, "serving", 1)
    assert (worker["pid"], worker["slot"], worker["stage"]) == (server.pid, 1, "serving")
    assert (worker["requests"], worker["requests_in_flight"], worker["connections"]) == (1, 0, 1)
    assert worker["rss"] > 1 << 20
    server.stop()
    assert not path.exists()


def listens(path: Path) -> bool:
    """Returns whether the Unix socket accepts connections, without one. Its file exists a moment before."""
    sockets = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    return any(each[-1] == str(path) and int(each[3], 16) & SO_ACCEPTCON for each in sockets[1:])


def test_checks_fail_and_other_requests_wait_while_no_worker_serves(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    gate, path = tmp_path / "gate", tmp_path / "app.sock"
    server, log = start_slow(tmp_path, path)

    def status() -> int:
        with Client(str(path)) as client:
            return client.get("/up").status

    try:
        for _ in range(2):
            until(lambda: listens(path), "the socket")
            until(lambda: status() == 503, "a health check to be answered by the supervisor")
            with Client(str(path)) as client, Client(str(path)) as late:
                client.request("/")
                gate.touch()
                assert client.response().body == b"hello"
                assert late.get("/").body == b"hello"
                assert status() == 200
                gate.unlink()
                (worker,) = map(int, Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split())
                os.kill(worker, signal.SIGKILL)
            until(lambda: status() == 503, "a health check after the crash")
        gate.touch()
    finally:
        server.terminate()
        server.wait(WAIT_SECONDS)
        log.join()


def test_connections_of_a_server_that_never_served_are_those_of_the_next_one(tmp_path: Path) -> None:
    """The supervisor has accepted them, to see whether they are health checks."""
    (tmp_path / "slow.py").write_text(SLOW)
    path = tmp_path / "app.sock"
    server, log = start_slow(tmp_path, path)
    new = 0
    try:
        until(lambda: listens(path), "the socket")
        with Client(str(path)) as client, Client(str(path)) as check:
            client.request("/")
            assert check.get("/up").status == 503
            (tmp_path / "slow.py").write_text(SLOW.replace("gate", "another gate"))
            server.send_signal(signal.SIGUSR2)
            new = int(log.wait_for(r"started the new server \(pid (\d+)\)")[1])
            log.wait_for(r"(?s)loading.*loading")
            server.terminate()
            assert server.wait(WAIT_SECONDS) == 0
            assert "closed connections" not in log.text
            (tmp_path / "another gate").touch()
            assert client.response().body == b"hello"
    finally:
        server.kill()
        server.wait(WAIT_SECONDS)
        if new:
            os.kill(new, signal.SIGTERM)
        log.join()


def test_connections_that_no_worker_has_served_are_reported(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    path = tmp_path / "app.sock"
    server, log = start_slow(tmp_path, path)
    try:
        until(lambda: listens(path), "the socket")
        with Client(str(path)) as client, Client(str(path)) as check:
            client.request("/")
            assert check.get("/up").status == 503
            server.terminate()
            assert server.wait(WAIT_SECONDS) == 0
            log.wait_for("WARNING closed connections that no worker has served: 1")
    finally:
        server.kill()
        server.wait(WAIT_SECONDS)
        log.join()
