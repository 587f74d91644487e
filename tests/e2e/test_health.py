"""Health checks of a running server."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.e2e.test_access_log import lines_of
from tests.helpers import Client, Server


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
