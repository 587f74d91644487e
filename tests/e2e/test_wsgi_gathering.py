"""Responses that are sent together: if only WSGI is served and many requests arrive at once, a leading thread keeps a
finished response until a few others can be sent with it. Each client gets its own, and none waits for a call that
blocks."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_wsgi_responses import ITERATE, OK, played
from tests.helpers import Client, Gate, Server, many, until

# This number of concurrent requests is enough for that (MANY in gateway/threads/pool).
CROWD = 20


@pytest.fixture(params=[(), ("--threads", "1")], ids=["auto", "one thread"])
def start_led(start_server: Callable[..., Server], request: pytest.FixtureRequest) -> Callable[..., Server]:
    """start_led(*options): as `start_server`, with wsgi_apps:app alone."""
    return lambda *options: start_server(*request.param, *options, app="wsgi_apps:app")


def states(server: Server) -> set[str]:
    """In which its threads are."""
    threads = Path(f"/proc/{server.pid}/task").glob("*/stat")
    return {thread.read_text().rpartition(")")[2].split()[0] for thread in threads}


def sleeps(server: Server) -> bool:
    """Whether each of its threads waits for something."""
    return states(server) == {"S"}


@contextlib.contextmanager
def at_once(server: Server) -> Iterator[None]:
    """Halts the server, which finds all data sent in the block at once, in this order.

    It has to sleep before: epoll keeps the events it has just reported, and would report them first.
    """
    until(lambda: sleeps(server) and sleeps(server), "the server to sleep")
    os.kill(server.pid, signal.SIGSTOP)
    until(lambda: states(server) == {"T"}, "the server to be halted")
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def bodies(clients: Iterable[Client]) -> set[bytes]:
    return {client.response().body for client in clients}


def test_each_client_gets_the_right_answer(start_led: Callable[..., Server]) -> None:
    server = start_led()
    with many(CROWD, server.connect) as clients:
        for turn in range(30):
            with at_once(server):
                for number, client in enumerate(clients):
                    client.request(f"/target?{turn}.{number}")
            assert [client.response().body for client in clients] == [b"%d.%d" % (turn, n) for n in range(CROWD)]


@pytest.mark.parametrize("place", ["call", "iteration", "close"])
def test_finished_response_does_not_wait_for_a_call(start_led: Callable[..., Server], gate: Gate, place: str) -> None:
    """Neither for the first of its kind, nor for one of which the server knows that it blocks."""
    hold = ("hold", gate.path)
    places: dict[str, list[Any]] = {
        "call": [hold, OK, ("return", [b"late"])],
        "iteration": [OK, ITERATE, hold, ("yield", b"late")],
        "close": [OK, ("at close", hold), ITERATE, ("yield", b"late")],
    }
    server = start_led()
    with many(CROWD, server.connect) as fast, server.connect() as slow:
        for _ in range(4):
            mark = server.log.mark()
            with at_once(server):
                for client in fast:
                    client.request("/hello")
                slow.request(played(*places[place]))
            assert bodies(fast) == {b"hello\n"}
            server.app_log("holding", mark)
            if place != "close":
                gate.open()
            assert slow.response().body == b"late"
            if place == "close":
                gate.open()


def test_finished_response_does_not_wait_for_the_stop(start_led: Callable[..., Server], gate: Gate) -> None:
    server = start_led()
    with many(CROWD, server.connect) as fast, server.connect() as slow:
        assert {client.get().status for client in (*fast, slow)} == {200}
        with at_once(server):
            for client in fast:
                client.request("/hello")
            slow.request(gate.target)
            server.signal(signal.SIGTERM)
        assert bodies(fast) == {b"hello\n"}
        server.app_log("holding")
        gate.open()
        assert slow.response().body == b"held\n"
    assert server.wait() == 0


def test_finished_response_is_not_lost_with_a_call_that_is_abandoned(
    start_led: Callable[..., Server], gate: Gate
) -> None:
    server = start_led("--timeout-stop", "6", "--timeout-lifespan-shutdown", "3.3")
    with many(CROWD, server.connect) as fast, server.connect() as slow:
        assert {client.get().status for client in (*fast, slow)} == {200}
        with at_once(server):
            for client in fast:
                client.request("/hello")
            slow.request(gate.target)
            server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert bodies(fast) == {b"hello\n"}
        assert slow.gone()
    server.log.wait_for("requests abandoned: 1")
