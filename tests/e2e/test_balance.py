"""No request waits for a worker that is blocked, loads or has crashed, while another worker is idle.

The tests hold workers at a gate. A request that is given to such a worker would not be answered before the gate opens,
so it would fail the test.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.e2e.test_stopping import refuses
from tests.helpers import Client, Gate, Server, many, until

ASGI = "balance_apps:app"
WSGI = "balance_apps:wsgi"

# With two sockets, the kernel gives none of that many connections to one of them once in 30,000 times.
CONNECTIONS = 15


def pid_of(client: Client) -> int:
    return int(client.get("/").body)


def answers(server: Server, count: int = CONNECTIONS) -> set[int]:
    """Returns the workers that answer on new connections."""
    found = set()
    for _ in range(count):
        with server.connect() as client:
            found.add(pid_of(client))
    return found


def hold_worker(server: Server, client: Client, gate: Gate) -> int:
    """Sends a request that blocks its worker until the gate opens. Returns the pid of the worker."""
    pid = pid_of(client)
    mark = server.log.mark()
    client.request(gate.target)
    server.log.wait_for("app: waiting", mark)
    return pid


def test_no_new_connection_waits_for_a_blocked_event_loop(start_server: Callable[..., Server], gate: Gate) -> None:
    server = start_server("--workers", "2", app=ASGI)
    with server.connect() as client:
        blocked = hold_worker(server, client, gate)
        (other,) = answers(server)
        assert other != blocked
        gate.open()
        assert int(client.response().body) == blocked
    until(lambda: answers(server) == {blocked, other}, "connections for both workers again")


def test_no_request_waits_beside_an_idle_worker(start_server: Callable[..., Server], gate: Gate) -> None:
    server = start_server("--workers", "2", "--threads", "1", "--health-path", "/up", app=WSGI)
    with server.connect() as client, many(CONNECTIONS, server.connect) as kept:
        assert len({pid_of(each) for each in kept}) == 2
        busy = hold_worker(server, client, gate)
        (idle,) = answers(server)
        assert {pid_of(each) for each in kept} == {idle}, "keep-alive connections of the busy worker, too"
        assert idle != busy
        # The server itself answers health checks of busy workers.
        with server.connect() as second, many(CONNECTIONS, server.connect) as checks:
            assert pid_of(second) == idle
            assert hold_worker(server, second, gate) == idle
            assert {each.get("/up").status for each in checks} == {200}
            # The first worker that is idle again serves all requests, wherever they have arrived.
            for each in checks:
                each.request("/")
            gate.open()
            assert len({int(each.response().body) for each in checks}) == 1
            gate.open()
            second.response()
            client.response()
    assert answers(server) == {busy, idle}


def test_no_connection_waits_for_a_worker_that_loads(
    start_server: Callable[..., Server], gate: Gate, tmp_path: Path
) -> None:
    server = start_server("--workers", "2", app=ASGI)
    workers = answers(server)
    assert len(workers) == 2
    (tmp_path / "slow").write_text(gate.path)
    # SIGTTIN adds a worker.
    server.signal(signal.SIGTTIN)
    until(lambda: len(server.children()) == 3, "one more worker")
    assert answers(server) == workers
    # A crash
    server.may_lose_workers = True
    crashed = workers.pop()
    os.kill(crashed, signal.SIGKILL)
    server.log.wait_for("starting a replacement")
    assert answers(server) == workers
    gate.open(2)
    until(lambda: len(answers(server)) == 3, "all workers")


def test_the_delay_of_a_stop_ends_when_no_worker_serves(start_server: Callable[..., Server], gate: Gate) -> None:
    server = start_server("--drain-delay", "15", "--health-path", "/up", app=WSGI)
    with server.connect() as client:
        busy = hold_worker(server, client, gate)
        server.signal(signal.SIGTERM)
        until(lambda: server.get("/up").status == 503)
        os.kill(busy, signal.SIGUSR2)  # It drains, and would let new connections wait for the rest of the delay.
        until(lambda: refuses(server), timeout=10)
        gate.open()
        assert int(client.response().body) == busy
    assert server.wait() == 0


def test_no_connection_waits_for_a_crashed_or_loading_worker_in_the_delay_of_a_stop(
    start_server: Callable[..., Server], gate: Gate, tmp_path: Path
) -> None:
    server = start_server("--workers", "2", "--drain-delay", "15", "--health-path", "/up", app=ASGI)
    server.may_lose_workers = True
    crashed, other = answers(server)
    (tmp_path / "slow").write_text(gate.path)
    server.signal(signal.SIGTTIN)
    until(lambda: len(server.children()) == 3, "one more worker")
    os.kill(crashed, signal.SIGSTOP)
    with many(CONNECTIONS, server.connect) as waiting:
        for client in waiting:
            client.request("/")
        server.signal(signal.SIGTERM)
        server.log.wait_for("stopping; connections are accepted")
        until(lambda: len(server.children()) == 2, "the start to be abandoned")
        os.kill(crashed, signal.SIGKILL)
        assert {int(client.response().body) for client in waiting} == {other}
    assert answers(server) == {other}
    assert server.get("/up").status == 503
    os.kill(other, signal.SIGKILL)
    assert server.wait() == 0
