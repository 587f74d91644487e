"""The counter of requests and WebSockets in flight: its limits, and that each exchange is removed once."""

import contextlib
import mmap

import pytest

from ianus.exchange.in_flight_counter import InFlightCounter, MarkedExchange, exceeded_limit
from ianus.process.scoreboard import SIZE, Scoreboard
from ianus.runtime.mapped_memory import MappedMemory
from ianus.telemetry.in_flight import InFlight


@pytest.fixture
def counter() -> InFlightCounter:
    return InFlightCounter(limit_concurrency=2, limit_websockets=1, limit_thread_websockets=3)


def test_requests_and_websockets_are_counted_separately(counter: InFlightCounter) -> None:
    MarkedExchange().add(counter, websocket=False)
    MarkedExchange().add(counter, websocket=False)
    MarkedExchange().add(counter, websocket=True)
    assert (counter.requests, counter.websockets) == (2, 1)


@pytest.mark.parametrize("websocket", [False, True])
def test_an_exchange_is_removed_once(counter: InFlightCounter, websocket: bool) -> None:
    first, second = MarkedExchange(), MarkedExchange()
    first.add(counter, websocket=websocket)
    second.add(counter, websocket=websocket)
    first.remove(counter)
    first.remove(counter)
    assert counter.requests + counter.websockets == 1
    second.remove(counter)
    assert counter.requests + counter.websockets == 0


def test_an_exchange_that_was_not_counted_is_not_removed(counter: InFlightCounter) -> None:
    MarkedExchange().remove(counter)
    assert (counter.requests, counter.websockets) == (0, 0)


def test_each_kind_has_its_own_limit(counter: InFlightCounter) -> None:
    exchanges = [MarkedExchange() for _ in range(2)]
    exchanges[0].add(counter, websocket=False)
    assert exceeded_limit(counter, websocket=False) is None
    exchanges[1].add(counter, websocket=False)
    assert exceeded_limit(counter, websocket=False) == "limit-concurrency (2)"
    assert exceeded_limit(counter, websocket=True) is None
    MarkedExchange().add(counter, websocket=True)
    assert exceeded_limit(counter, websocket=True) == "limit-websockets (1)"
    exchanges[0].remove(counter)
    assert exceeded_limit(counter, websocket=False) is None


def test_zero_is_no_limit() -> None:
    counter = InFlightCounter(limit_concurrency=0, limit_websockets=0, limit_thread_websockets=3)
    for websocket in (False, True):
        MarkedExchange().add(counter, websocket=websocket)
        assert exceeded_limit(counter, websocket=websocket) is None


def test_websockets_that_hold_a_thread_have_a_limit_of_their_own() -> None:
    counter = InFlightCounter(limit_concurrency=0, limit_websockets=0, limit_thread_websockets=1)
    MarkedExchange().add(counter, websocket=True)
    assert exceeded_limit(counter, websocket=True, thread=True) is None
    held = MarkedExchange()
    held.add(counter, websocket=True, thread=True)
    assert counter.websockets == 2
    assert exceeded_limit(counter, websocket=True, thread=True) == (
        "threads for WebSockets (1; raise --threads or --max-threads)"
    )
    assert exceeded_limit(counter, websocket=True) is None
    held.remove(counter)
    assert counter.websockets == 1
    assert exceeded_limit(counter, websocket=True, thread=True) is None


def test_the_supervisor_sees_requests_but_no_websockets(counter: InFlightCounter) -> None:
    with contextlib.closing(Scoreboard()) as scoreboard:
        counter.publish(InFlight(MappedMemory(mmap.mmap(scoreboard.fd, SIZE))))
        request = MarkedExchange()
        request.add(counter, websocket=False)
        MarkedExchange().add(counter, websocket=True)
        assert [line for line, _ in scoreboard.requests()] == ["GET /marked"]
        request.remove(counter)
        assert scoreboard.requests() == []
