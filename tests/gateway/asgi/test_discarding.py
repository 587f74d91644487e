"""send() after the client has disconnected: it may still be called for a while, and does not keep the loop busy."""

import asyncio
import itertools
from typing import Any

import pytest

from ianus.exchange.disconnect import ClientDisconnected
from ianus.gateway.asgi import discarding
from ianus.gateway.asgi.discarding import DiscardedSends, DiscardingTurn

PART = {"type": "http.response.body", "body": b"x", "more_body": True}
LAST = {"type": "http.response.body", "body": b"x"}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(discarding, "monotonic", clock)
    return clock


def raises(sends: DiscardedSends, message: dict[str, Any] = PART, *, own: bool = True, stopping: bool = False) -> bool:
    try:
        wait = sends.send(message, in_request_task=own, stopping=stopping)
        if wait is not None:
            wait.close()  # type: ignore[attr-defined]
    except ClientDisconnected:
        return True
    return False


@pytest.mark.parametrize(("own", "limit"), [(True, 2.0), (False, 600.0)])
def test_parts_are_discarded_for_a_limited_time(clock: Clock, own: bool, limit: float) -> None:
    async def main() -> None:
        sends = DiscardedSends(DiscardingTurn(asyncio.get_running_loop()), finite=False)
        assert not raises(sends, own=own)
        clock.now += limit - 0.1
        assert not raises(sends, own=own)
        clock.now += 0.2
        assert not raises(sends, LAST, own=own), "the last part ends the response anyway"
        assert raises(sends, own=own)

    asyncio.run(main())


@pytest.mark.parametrize("begun", [True, False])
def test_body_with_a_length_is_discarded_to_its_end(clock: Clock, begun: bool) -> None:
    async def main() -> None:
        sends = DiscardedSends(DiscardingTurn(asyncio.get_running_loop()), finite=begun)
        if not begun:
            headers = [(b"Content-Length", b"10")]
            assert not raises(sends, {"type": "http.response.start", "status": 200, "headers": headers})
        clock.now += 10000
        assert not raises(sends)

    asyncio.run(main())


def test_stream_that_the_stop_has_ended_hears_of_it_at_once() -> None:
    async def main() -> None:
        sends = DiscardedSends(DiscardingTurn(asyncio.get_running_loop()), finite=False)
        assert raises(sends, own=False, stopping=True)

    asyncio.run(main())


def test_sender_whose_client_has_just_disconnected_is_not_suspended(clock: Clock) -> None:
    """A cancellation has to arrive while it awaits an object of its own, or its generator is not closed."""

    async def main() -> None:
        sends = DiscardedSends(DiscardingTurn(asyncio.get_running_loop()), finite=False)
        for _ in range(2 * discarding.PAUSE_MESSAGES):
            assert sends.send(PART, in_request_task=False, stopping=False) is None

    asyncio.run(main())


def test_busy_sender_lets_the_loop_run_and_pauses(clock: Clock) -> None:
    async def main() -> None:
        sends = DiscardedSends(DiscardingTurn(asyncio.get_running_loop()), finite=False)
        clock.now += discarding.FREE_SECONDS
        waits = []
        for number in range(1, 2 * discarding.PAUSE_MESSAGES + 1):
            clock.now += 0.0001
            wait = sends.send(PART, in_request_task=True, stopping=False)
            if wait is not None:
                waits.append(number)
                await asyncio.ensure_future(finished(wait))
        assert discarding.PAUSE_MESSAGES in waits
        assert len(waits) > 10

    asyncio.run(main())


def test_many_senders_share_the_time_of_a_turn(clock: Clock) -> None:
    """As streams of HTTP/2 do whose connection has ended: other clients do not wait for each of them."""
    number, parts = 100, 200
    per_turn: list[int] = []
    discarded = 0

    async def application(sends: DiscardedSends) -> None:
        nonlocal discarded
        for _ in range(parts):
            clock.now += 0.0001
            wait = sends.send(PART, in_request_task=True, stopping=False)
            discarded += 1
            if wait is not None:
                await finished(wait)

    def count() -> None:
        per_turn.append(discarded)
        if discarded < number * parts:
            asyncio.get_running_loop().call_soon(count)

    async def main() -> None:
        turn = DiscardingTurn(asyncio.get_running_loop())
        count()
        await asyncio.gather(*(application(DiscardedSends(turn, finite=True)) for _ in range(number)))

    asyncio.run(main())
    most = max(after - before for before, after in itertools.pairwise(per_turn))
    # Each may send one message without a pause, and one more is discarded before it is suspended.
    assert most <= discarding.TURN_SECONDS / 0.0001 + 2 * number


def test_pieces_of_many_clients_are_discarded_before_their_applications_are_suspended(clock: Clock) -> None:
    """Django sends a piece of 2 MB as 32 messages. A cancellation in one of them would not close its generator."""

    async def main() -> None:
        turn = DiscardingTurn(asyncio.get_running_loop())
        for sends in [DiscardedSends(turn, finite=False) for _ in range(10)]:
            for _ in range(32):
                clock.now += 0.0001
                assert sends.send(PART, in_request_task=False, stopping=False) is None

    asyncio.run(main())


async def finished(steps: Any) -> None:
    class Steps:
        def __await__(self) -> Any:
            return steps

    await Steps()
