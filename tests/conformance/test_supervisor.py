"""When processes of a server are killed, stuck or replaced, no client notices more than is inevitable.

By default few rounds of each; docs/conformance.md has how to get the full figures.
"""

import math
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.http2_load_clients import Http2LoadClient
from tests.conformance.load_clients import Failure, LoadClients
from tests.conformance.processes import alive, children, name, open_files, zombies
from tests.helpers import WAIT_SECONDS, Client, Server, until

pytestmark = pytest.mark.conformance

APP = Path(__file__).parent / "supervised_app.py"

RELOADS = int(os.environ.get("IANUS_RELOADS", "12"))
RECYCLES = int(os.environ.get("IANUS_RECYCLES", "60"))
UPGRADES = int(os.environ.get("IANUS_UPGRADES", "4"))

# Of a fleet's idle connections, in seconds. Shorter than by default: each reload waits for it.
DRAIN_IDLE = 1.5

WRK = shutil.which("wrk")

Start = Callable[..., "Fleet"]


@dataclass(frozen=True)
class Scale:
    """Seconds: the limit of a stuck worker, and durations of the acts in a test."""

    timeout: float
    block: float
    call: float
    gil: float


SCALE = Scale(30, 60, 60, 20) if os.environ.get("IANUS_LONG") else Scale(3, 60, 6, 2)


class Fleet:
    """A server of several processes. supervisor: its process, another one after an upgrade."""

    def __init__(self, server: Server, workers: int, app: Path) -> None:
        self.server = server
        self.size = workers
        self.app = app
        self.supervisor = server.process.pid

    def workers(self) -> set[int]:
        return workers_of(self.supervisor)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.supervisor, number)

    def settled(self, without: set[int]) -> set[int]:
        """Waits until there are as many workers as there should be, and none of those."""

        def found() -> set[int]:
            workers = self.workers()
            return workers if len(workers) == self.size and not any(map(alive, without)) else set()

        return until(found, f"{self.size} workers without {without}; now {self.workers()}", 3 * WAIT_SECONDS)

    def wait_for_exits(self, workers: set[int]) -> None:
        until(lambda: not any(map(alive, workers)), f"the exits of {workers}", 3 * WAIT_SECONDS)

    def reload(self) -> set[int]:
        """One rolling reload; the new workers."""
        before = self.workers()
        self.signal(signal.SIGHUP)
        return self.settled(before)

    def upgrade(self) -> None:
        """Another supervisor starts beside the present one, which is then ended."""
        file, second = self.app.with_name("ianus.pid"), self.app.with_name("ianus.pid.2")
        old, old_workers = self.supervisor, self.workers()
        self.signal(signal.SIGUSR2)
        until(lambda: second.exists() and numbers(file, second) - {old}, "the second supervisor", 3 * WAIT_SECONDS)
        (self.supervisor,) = numbers(file, second) - {old}
        self.settled(set())
        os.kill(old, signal.SIGTERM)
        self.settled({old, *old_workers})
        until(lambda: numbers(file, second) == {self.supervisor}, "the one pid file")

    def change(self, old: str, new: str) -> None:
        """Changes the application's file."""
        text = self.app.read_text()
        assert old in text
        self.app.write_text(text.replace(old, new))

    def visit(self, **how: object) -> LoadClients:
        return LoadClients(self.server.address, **how)  # type: ignore[arg-type]


@pytest.fixture
def start_fleet(start_server: Callable[..., Server], tmp_path: Path) -> Iterator[Start]:
    """start_fleet("asgi" or "wsgi", workers, *options): with a copy of the application in tmp_path."""
    fleets: list[Fleet] = []

    def start(interface: str, workers: int, *options: str) -> Fleet:
        app = tmp_path / APP.name
        shutil.copy(APP, app)
        settings = ("--workers", str(workers), "--no-access-log", "--timeout-drain-idle", str(DRAIN_IDLE), *options)
        server = start_server(*settings, app=f"{app.stem}:{interface}", app_dir=tmp_path)
        fleets.append(Fleet(server, workers, app))
        fleets[-1].settled(set())
        return fleets[-1]

    yield start
    for fleet in fleets:
        if fleet.supervisor != fleet.server.process.pid:  # not ended by the fixture
            end(fleet.supervisor)


def workers_of(supervisor: int) -> set[int]:
    return {child for child in children(supervisor) if name(child).startswith("ianus: worker")}


def numbers(*files: Path) -> set[int]:
    """The processes of these pid files."""
    return {int(text) for file in files if file.exists() and (text := file.read_text().strip())}


def end(pid: int) -> None:
    if alive(pid):
        os.kill(pid, signal.SIGTERM)
        until(lambda: not alive(pid), "the end of a supervisor")


FLEETS = pytest.mark.parametrize(
    "how",
    [
        pytest.param(("asgi", 1), id="ASGI, 1 worker"),
        pytest.param(("asgi", 3), id="ASGI, 3 workers"),
        pytest.param(("wsgi", 1), id="WSGI, 1 worker"),
        pytest.param(("wsgi", 3, "--preload"), id="WSGI, 3 workers, preloaded"),
    ],
)


def share(total: int) -> int:
    """Of rounds, for one of the four fleets."""
    return math.ceil(total / 4)


# --- Without any effect on clients ---


@FLEETS
def test_reload(start_fleet: Start, how: tuple[Any, ...]) -> None:
    fleet = start_fleet(*how)
    with fleet.visit(wrk=WRK) as load_clients:
        load_clients.progress()
        fleet.reload()  # One-time files are open then,
        load_clients.progress()  # and those of the old workers are not.
        files = open_files(fleet.supervisor)
        for number in range(share(RELOADS)):
            fleet.change("VERSION = ", f"VERSION = 'v{number}'  # ")
            fleet.reload()
            load_clients.progress(50)
            assert load_clients.failures == []
            assert f"v{number}" in load_clients.versions
        assert load_clients.waited > 0
    assert load_clients.failures == []
    until(lambda: open_files(fleet.supervisor) == files, "as many open files as before")
    until(lambda: not zombies(fleet.supervisor), "every process that exited was waited for")


@FLEETS
@pytest.mark.plain
def test_changes_over_http2(start_fleet: Start, how: tuple[Any, ...]) -> None:
    """Reloads, and replacements after a number of requests, beside clients that honour GOAWAY (RFC 9113, 6.8)."""
    fleet = start_fleet(*how, "--http2-cleartext", "--max-requests", "500", "--max-requests-jitter", "200")
    assert isinstance(fleet.server.address, tuple)
    clients = [Http2LoadClient(fleet.server.address, 10_000_000 * place) for place in range(1, 7)]
    with fleet.visit(busy=1, pausing=0, waiting=0, more=clients) as load_clients:
        for number in range(share(RELOADS)):
            load_clients.progress(100)
            fleet.change("VERSION = ", f"VERSION = 'v{number}'  # ")
            # Fast clients have a worker replaced all the time, so there is hardly a moment without further ones.
            before = fleet.workers()
            fleet.signal(signal.SIGHUP)
            fleet.wait_for_exits(before)
            load_clients.progress(100)
            assert load_clients.failures == []
        while len(load_clients.workers) < share(RECYCLES) + fleet.size:
            load_clients.progress(100)
            assert load_clients.failures == []
    assert load_clients.failures == []


@FLEETS
def test_recycling(start_fleet: Start, how: tuple[Any, ...]) -> None:
    fleet = start_fleet(*how, "--max-requests", "300", "--max-requests-jitter", "200")
    with fleet.visit(wrk=WRK) as load_clients:
        while len(load_clients.workers) < share(RECYCLES) + fleet.size:
            load_clients.progress()
            assert load_clients.failures == []
    assert load_clients.failures == []
    until(lambda: not zombies(fleet.supervisor), "every process that exited was waited for")


@FLEETS
def test_upgrade(start_fleet: Start, how: tuple[Any, ...]) -> None:
    """USR2 starts a new supervisor beside the old one, which is then ended."""
    fleet = start_fleet(*how, "--pid-file", "ianus.pid")
    with fleet.visit(wrk=WRK) as load_clients:
        for number in range(share(UPGRADES)):
            load_clients.progress()
            fleet.change("VERSION = ", f"VERSION = 'v{number}'  # ")
            fleet.upgrade()
            load_clients.progress()
            assert load_clients.failures == []
            assert f"v{number}" in load_clients.versions
    assert load_clients.failures == []


@FLEETS
def test_broken_application(start_fleet: Start, how: tuple[Any, ...]) -> None:
    """The old workers serve on when the new ones do not start."""
    fleet = start_fleet(*how)
    with fleet.visit(wrk=WRK) as load_clients:
        before = fleet.workers()
        text = fleet.app.read_text()
        for breakage in ("raise RuntimeError('broken')\n", "import os; os._exit(7)\n", "def f(:\n"):
            mark = fleet.server.log.mark()
            fleet.app.write_text(breakage + text)
            fleet.signal(signal.SIGHUP)
            fleet.server.log.wait_for(r"ERROR", mark)
            load_clients.progress()
            until(lambda: fleet.workers() == before, "none but the old workers")
        fleet.app.write_text(text.replace("first", "repaired"))
        fleet.reload()
        load_clients.progress(50)
        assert "repaired" in load_clients.versions
    assert load_clients.failures == []


# --- With effects on clients ---


def check_only_of(failures: list[Failure], killed: set[int], connections: int) -> None:
    """Asserts that only requests to killed processes failed, at most one for each connection."""
    surprising = [failure for failure in failures if failure.worker not in killed | {None}]
    assert not surprising
    assert len(failures) <= connections * len(killed)


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_killed_workers(start_fleet: Start, interface: str) -> None:
    fleet = start_fleet(interface, 3)
    fleet.server.may_lose_workers = True
    with fleet.visit() as load_clients:
        killed = fleet.workers()
        for worker in killed:
            load_clients.progress()
            os.kill(worker, signal.SIGKILL)
            fleet.settled({worker})
        load_clients.progress(500)
    check_only_of(load_clients.failures, killed, load_clients.count)
    assert load_clients.failures, "a test that has seen nobody die"
    assert not killed & fleet.workers()
    until(lambda: not zombies(fleet.supervisor), "every process that exited was waited for")


@pytest.mark.parametrize("how", [("asgi", 3), ("asgi", 2, "--preload"), ("wsgi", 1)])
def test_killed_supervisor(tmp_path: Path, how: tuple[Any, ...]) -> None:
    """Workers finish their requests, and exit."""
    interface, workers, *more = how
    shutil.copy(APP, tmp_path)
    options = ("--workers", str(workers), "--no-access-log", "--timeout-drain-idle", "1", *more)
    server = Server(f"{APP.stem}:{interface}", *options, cwd=tmp_path, app_dir=tmp_path)
    until(lambda: len(workers_of(server.process.pid)) == workers, "all workers")
    left = children(server.process.pid)
    with server.connect() as client, server.connect() as idle:
        assert idle.get("/1").status == 200
        client.request("/2?nap=1")
        os.kill(server.process.pid, signal.SIGKILL)
        response = client.response()
        assert response.status == 200
        assert response.body.startswith(b"2 ")
        assert idle.gone()
        until(lambda: not any(map(alive, left)), "the end of them all")
    server.wait()


def test_stuck_loop(start_fleet: Start) -> None:
    """A worker whose event loop is blocked for too long is logged and replaced; the others keep serving."""
    fleet = start_fleet("asgi", 2, "--timeout", str(SCALE.timeout))
    fleet.server.may_lose_workers = True
    mark = fleet.server.log.mark()
    with fleet.visit() as load_clients, Client(fleet.server.address, timeout=SCALE.timeout + WAIT_SECONDS) as client:
        stuck = int(client.get("/1").body.split()[1])
        client.request(f"/2?block={SCALE.block}")
        assert client.gone()
        fleet.settled({stuck})
        load_clients.progress(500)
    check_only_of(load_clients.failures, {stuck}, load_clients.count)
    told = fleet.server.log.since(mark)
    assert f"GET /2?block={SCALE.block}" in told
    assert re.search(r"supervised_app\.py.*\bdawdle\b", told), told
    assert str(stuck) in told


def test_long_call(start_fleet: Start) -> None:
    """One slow call of many is logged, and continues."""
    limit = str(SCALE.timeout)
    fleet = start_fleet("wsgi", 1, "--timeout", limit, "--stuck-report-after", limit, "--threads", "8")
    mark = fleet.server.log.mark()
    before = fleet.workers()
    with fleet.visit() as load_clients, Client(fleet.server.address, timeout=SCALE.call + WAIT_SECONDS) as client:
        assert client.get(f"/1?block={SCALE.call}").status == 200
    assert load_clients.failures == []
    assert fleet.workers() == before
    assert f"GET /1?block={SCALE.call}" in fleet.server.log.since(mark)


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_kept_gil(start_fleet: Start, interface: str) -> None:
    """C code that blocks all threads for less than the limit does not cause a replacement."""
    fleet = start_fleet(interface, 1, "--timeout", str(SCALE.timeout))
    before = fleet.workers()
    with fleet.visit() as load_clients, Client(fleet.server.address, timeout=SCALE.gil + WAIT_SECONDS) as client:
        for _ in range(2):
            assert client.get(f"/1?gil={SCALE.gil}").status == 200
    assert load_clients.failures == []
    assert fleet.workers() == before


def test_kept_gil_for_too_long(start_fleet: Start) -> None:
    """The stuck worker is logged like any other: neither the check nor the report needs the GIL."""
    fleet = start_fleet("asgi", 1, "--timeout", "2")
    fleet.server.may_lose_workers = True
    mark = fleet.server.log.mark()
    before = fleet.workers()
    with Client(fleet.server.address) as client:
        client.request("/1?gil=60")
        assert client.gone()
    fleet.settled(before)
    told = fleet.server.log.since(mark)
    assert "GET /1?gil=60" in told
    assert re.search(r"supervised_app\.py.*\bact\b", told), told
