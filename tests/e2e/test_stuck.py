"""A worker that does not respond: its log messages and its replacement; and workers that are only slow.

The limits are short so that a test is quick. A worker to be found stuck stays so until it is killed, and one that must
not be found stuck is there for several times the limit.
"""

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ianus
from tests.helpers import APPS, WAIT_SECONDS, Client, Server, until

Start = Callable[..., Server]

# Seconds of --timeout; a machine that is busy must not look like a worker that is stuck.
LIMIT = 1.0
FOR_EVER = "3600"


def replaced(server: Server, before: int) -> bool:
    """Whether another worker answers."""

    def answers() -> bool:
        try:
            return int(server.get("/pid").body) != before
        except OSError:
            return False

    return until(answers)


@pytest.fixture
def stuck(start_server: Start) -> Iterator[Callable[..., tuple[Server, int, Client]]]:
    """Starts a server and has its worker get stuck in a request; also returns its pid and the client that waits."""
    clients: list[Client] = []

    def start(app: str, target: str, *options: str) -> tuple[Server, int, Client]:
        server = start_server("--timeout", str(LIMIT), *options, app=f"stuck_apps:{app}")
        pid = int(server.get("/pid").body)
        clients.append(server.connect())
        clients[-1].request(target)
        return server, pid, clients[-1]

    yield start
    for client in clients:
        client.close()


# --- Stuck ---


LOOP = "its event loop has run no callback"
CREW = "no thread of it has looked at its connections"


@pytest.mark.parametrize(
    ("app", "target", "why", "function"),
    [("asgi", "/sleep", LOOP, "respond"), ("asgi", "/hold", LOOP, "hold"), ("wsgi", "/hold", CREW, "hold")],
)
def test_a_stuck_worker_is_logged_and_replaced(
    stuck: Callable[..., tuple[Server, int, Client]], app: str, target: str, why: str, function: str
) -> None:
    server, pid, _ = stuck(app, f"{target}?{FOR_EVER}")
    server.may_lose_workers = True
    assert replaced(server, pid)
    log = server.log.text
    assert f"CRITICAL worker is stuck and will be killed: worker 1 (pid {pid}): {why} for 1 s\n" in log
    assert f"ERROR worker killed, starting a replacement: worker 1 (pid {pid})\n" in log
    assert f"\n    GET {target}?{FOR_EVER} (" in log
    assert "Fatal Python error: Aborted" in log
    assert f" in {function}\n" in log


def test_a_process_that_is_stopped_gives_no_sign_of_life(start_server: Start) -> None:
    server = start_server("--timeout", str(LIMIT), app="stuck_apps:asgi")
    server.may_lose_workers = True
    pid = server.pid
    os.kill(pid, signal.SIGSTOP)
    assert replaced(server, pid)
    server.log.wait_for(
        rf"is stuck and will be killed: worker \d \(pid {pid}\): it has given no sign of life for \d s$"
    )


@pytest.mark.parametrize(
    ("options", "why"),
    [((), CREW), (("--mount", "/asgi=stuck_apps:asgi"), "no thread of it has taken a waiting request")],
    ids=["led", "pool"],
)
def test_a_worker_in_which_no_thread_serves_is_replaced(
    start_server: Start, tmp_path: Path, options: tuple[str, ...], why: str
) -> None:
    """Once, it accepted connections for ever, and answered none."""
    (tmp_path / "mute.py").write_text(
        "import os, threading\n"
        "from stuck_apps import wsgi\n"
        "start = threading.Thread.start\n"
        "def start_others(thread):\n"
        "    if not thread.name.startswith('ianus-wsgi') or os.path.exists('mended'):\n"
        "        start(thread)\n"
        "threading.Thread.start = start_others\n"
    )
    (tmp_path / "stuck_apps.py").symlink_to(APPS / "stuck_apps.py")
    server = start_server("--timeout", str(LIMIT), *options, app="mute:wsgi", app_dir=tmp_path)
    server.may_lose_workers = True
    with server.connect() as client:
        client.request("/pid")
        (tmp_path / "mended").touch()
        pid = server.log.wait_for(
            rf"CRITICAL worker is stuck and will be killed: worker 1 \(pid (\d+)\): {why} for \d s$"
        )[1]
    assert replaced(server, int(pid))


# --- Busy ---


@pytest.mark.parametrize(
    ("app", "target", "options"),
    [
        ("wsgi", "/sleep", ()),
        ("wsgi", "/sleep", ("--threads", "1")),
        pytest.param("asgi", "/wsgi/sleep", ("--mount", "/wsgi=stuck_apps:wsgi"), marks=pytest.mark.extended),
        ("asgi", "/wsgi/sleep", ("--mount", "/wsgi=stuck_apps:wsgi", "--threads", "1")),
    ],
)
def test_a_thread_that_takes_long_is_not_stuck(
    stuck: Callable[..., tuple[Server, int, Client]], app: str, target: str, options: tuple[str, ...]
) -> None:
    server, pid, client = stuck(app, f"{target}?{2.5 * LIMIT}", *options)
    assert int(client.response().body) == pid
    assert "is stuck" not in server.log.text


def test_a_worker_without_a_limit_is_never_stuck(start_server: Start) -> None:
    server = start_server("--timeout", "0", app="stuck_apps:asgi")
    assert int(server.get("/sleep?1").body) == server.pid
    assert "is stuck" not in server.log.text


# --- In flight ---


@pytest.mark.parametrize("app", ["asgi", "wsgi"])
def test_requests_of_a_crashed_worker_are_logged(start_server: Start, app: str) -> None:
    server = start_server(app=f"stuck_apps:{app}")
    server.may_lose_workers = True
    pid = server.pid
    with server.connect() as done, server.connect() as waiting:
        done.get("/pid?this-has-ended")
        waiting.request(f"/fork?{FOR_EVER}")
        # The child that ended with this request did not end it for the parent.
        server.app_log("forked")
        os.kill(pid, signal.SIGKILL)
        told = server.log.wait_for(rf"requests in flight in worker 1 \(pid {pid}\):\n((?:  .*\n)+)")
    assert told[1].startswith(f"    GET /fork?{FOR_EVER} (")
    assert len(told[1].splitlines()) == 1


# --- --watch-loop ---


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("target", ["/sleep?0.5", "/compute?30000000"])
def test_the_line_that_blocks_the_loop_is_logged(start_server: Start, loop: str, target: str) -> None:
    server = start_server("--watch-loop", "100", "--loop", loop, app="stuck_apps:asgi")
    server.get(target)
    # A machine that is busy may block the loop as well, in no code of the application.
    told = r"WARNING event loop blocked for (\S+) s \(--watch-loop 100\):\n(.* in asgi\n(?:  .*\n)+)"
    seconds, stack = server.log.wait_for(told).groups()
    assert 0.1 <= float(seconds) < WAIT_SECONDS
    lines = [line.strip() for line in stack.splitlines()]
    # From the application's first line to the one that blocks, with no line of the server's.
    assert lines[0].endswith(", in asgi")
    assert lines[1].startswith("body = respond(")
    assert lines[-1] in ("time.sleep(float(query))", "sum(range(int(query)))")
    assert str(Path(ianus.__file__).parent) not in stack
    assert len(re.findall(told, server.log.text)) == 1


def test_a_blocked_loop_is_one_record_of_a_log_of_json(start_server: Start) -> None:
    server = start_server("--watch-loop", "50", "--log-format", "json", app="stuck_apps:asgi")
    server.get("/sleep?0.3")
    line = server.log.wait_for(r"^(\{.*loop blocked.*\})$")[1]
    assert "time.sleep" in json.loads(line)["message"]


def test_a_loop_that_is_not_blocked_is_not_logged(start_server: Start) -> None:
    server = start_server("--watch-loop", "1000", app="stuck_apps:asgi")
    server.get("/sleep?0.3")
    server.stop()
    assert "blocked" not in server.log.text


def test_threads_of_a_wsgi_application_do_not_block_the_loop(start_server: Start) -> None:
    server = start_server("--watch-loop", "50", app="stuck_apps:wsgi")
    server.get("/sleep?0.3")
    server.stop()
    assert "blocked" not in server.log.text
