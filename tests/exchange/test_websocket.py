"""A WebSocket conversation without a connection: its queue, its pings, and its end."""

from time import monotonic
from typing import Any

import pytest

from ianus.codec.websocket.recording import close_frame, frame
from ianus.exchange.recording_exchange import RecordingGateway, RecordingHost, RecordingWebSocket, open_exchange
from tests.codec.websocket import feeding
from tests.codec.websocket.feeding import BINARY, PING, PONG, TEXT
from tests.engine import service, websocket_rules


class Peer:
    """A conversation, its session, and the frames of its client."""

    def __init__(self, **rules: Any) -> None:
        self.host = RecordingHost()
        self.exchange = open_exchange(service(RecordingGateway()), self.host)
        self.socket = RecordingWebSocket(self.exchange, websocket_rules(**rules))

    def takes(self) -> list[str | bytes]:
        """Returns the messages that wait for the application."""
        messages = []
        while (message := self.socket.take_message()) is not None:
            messages.append(message)
        return messages

    def receives(self) -> bytes:
        """Returns the bytes that were sent to the client since the last call."""
        return b"".join(call[1] for call in self.host.take_calls() if call[0] in ("data", "body"))

    @property
    def end(self) -> tuple[int, str | None]:
        return self.socket.state.code, self.socket.state.reason


@pytest.fixture
def peer() -> Peer:
    return Peer()


# ---------------------------------------------------------------- messages


def test_messages_wait_in_their_order(peer: Peer) -> None:
    data = feeding.text("one") + feeding.frame(BINARY, b"two") + feeding.text("three")
    assert peer.socket.receive(data) == len(data)
    assert peer.socket.was_notified
    assert peer.takes() == ["one", b"two", "three"]
    assert peer.socket.take_message() is None


def test_the_queue_is_bounded_in_messages() -> None:
    peer = Peer(ws_max_queue=2)
    message = feeding.text("x")
    assert peer.socket.receive(message * 5) == 2 * len(message)
    assert not peer.socket.accepts
    assert peer.host.take_calls() == []
    peer.socket.take_message()
    assert peer.socket.accepts
    assert peer.host.take_calls() == ["resume soon"]


def test_the_queue_is_bounded_in_bytes() -> None:
    peer = Peer(ws_max_queue=100)
    message = feeding.frame(BINARY, b"x" * 40000)
    assert peer.socket.receive(message * 3) == 2 * len(message)
    assert not peer.socket.accepts
    peer.socket.take_message()
    assert peer.socket.accepts


def test_a_queue_that_is_still_full_stays_stopped() -> None:
    peer = Peer(ws_max_queue=2)
    peer.socket.receive(feeding.text("small") + feeding.frame(BINARY, b"x" * 70000))
    assert peer.socket.take_message() == "small"
    assert not peer.socket.accepts
    peer.socket.take_message()
    assert peer.socket.accepts


def test_a_client_that_does_not_read_is_not_read_either() -> None:
    peer = Peer(ws_max_queue=1)
    peer.socket.receive(feeding.text("x"))
    peer.host.is_congested = True
    peer.socket.take_message()
    assert not peer.socket.accepts
    peer.host.is_congested = False
    peer.socket.resume_reading()
    assert peer.socket.accepts


def test_messages_are_sent_as_frames(peer: Peer) -> None:
    for message in ("text \u20ac", b"bytes", "", b"x" * 70000, "y" * 70000):
        peer.socket.send(message)
        opcode, payload = (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
        assert peer.receives() == frame(opcode, payload)
    peer.socket.send("x")
    assert peer.host.take_calls()[-1] == "send soon"


# ---------------------------------------------------------------- pings of the client


def test_pings_are_answered(peer: Peer) -> None:
    peer.socket.receive(feeding.frame(PING, b"payload"))
    assert peer.host.take_calls()[-1] == "resume soon"
    peer.socket.receive(feeding.frame(PING))
    assert peer.receives() == frame(PONG, b"")
    assert peer.takes() == []


def test_a_client_that_does_not_read_its_pongs_is_not_read(peer: Peer) -> None:
    peer.host.is_congested = True
    ping = feeding.frame(PING)
    assert peer.socket.receive(ping * 2) == len(ping)
    assert not peer.socket.accepts


# ---------------------------------------------------------------- the closing handshake


def test_a_close_of_the_client_is_echoed(peer: Peer) -> None:
    peer.socket.receive(feeding.text("last") + feeding.close(1001, b"leaving") + feeding.text("late"))
    assert peer.receives() == close_frame(1001, "")
    assert peer.end == (1001, "leaving")
    assert (peer.socket.state.peer_closed, peer.socket.state.over) == (True, True)
    assert peer.takes() == ["last"], "messages before the close are delivered"
    assert peer.socket.receive(b"anything") == 8
    assert not peer.socket.accepts


def test_a_close_of_the_server_waits_for_that_of_the_client() -> None:
    peer = Peer(ws_close_timeout=5.0)
    before = monotonic()
    peer.socket.close(3000, "bye")
    assert peer.receives() == close_frame(3000, "bye")
    assert peer.end == (3000, "bye")
    assert not peer.socket.state.over
    assert before - 0.1 + 5 <= peer.socket.deadline() <= monotonic() + 5
    peer.socket.receive(feeding.text("late") + feeding.frame(PING) + feeding.close(1000))
    assert peer.receives() == b"", "after a close frame nothing is sent"
    assert peer.takes() == []
    assert peer.end == (3000, "bye"), "the first end counts"
    assert (peer.socket.state.peer_closed, peer.socket.state.over) == (True, True)
    assert peer.socket.deadline() == 0


def test_a_close_is_sent_once(peer: Peer) -> None:
    peer.socket.close(1000)
    peer.socket.close(1001)
    assert peer.receives() == close_frame(1000, "")
    assert peer.end == (1000, "")


def test_a_close_may_have_no_code(peer: Peer) -> None:
    peer.socket.close(1005)
    assert peer.receives() == frame(8, b"")


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 2999, 5000])
def test_codes_that_cannot_be_sent_are_refused(peer: Peer, code: int) -> None:
    with pytest.raises(ValueError, match=rf"^close code {code} cannot be sent$"):
        peer.socket.close(code)
    assert peer.receives() == b""
    assert peer.end == (0, None)


def test_a_close_reads_the_input_that_the_full_queue_has_stopped() -> None:
    peer = Peer(ws_max_queue=1)
    peer.socket.receive(feeding.text("x"))
    assert not peer.socket.accepts
    peer.socket.close(1000)
    assert peer.socket.accepts


def test_without_a_timeout_the_close_of_the_client_is_not_waited_for() -> None:
    peer = Peer(ws_close_timeout=0.0)
    peer.socket.close(1000)
    assert peer.socket.deadline() <= monotonic()


def test_a_close_that_is_not_answered_in_time_ends(peer: Peer) -> None:
    peer.socket.close(1000)
    peer.socket.expire()
    assert peer.socket.state.over
    assert not peer.socket.state.peer_closed


def test_a_violation_of_the_protocol_ends_the_conversation(peer: Peer) -> None:
    peer.socket.receive(feeding.frame(3))
    code, reason = peer.end
    assert code == 1002
    assert reason
    assert peer.receives() == close_frame(1002, reason)
    assert peer.socket.state.over
    assert peer.socket.was_notified


def test_a_message_over_the_limit_ends_the_conversation() -> None:
    peer = Peer(ws_max_size=3)
    peer.socket.receive(feeding.text("four"))
    assert peer.end[0] == 1009


def test_a_lost_connection_ends_the_conversation(peer: Peer) -> None:
    peer.socket.receive(feeding.text("x"))
    peer.socket.lose()
    assert peer.end == (1006, "")
    assert peer.takes() == ["x"]
    peer.socket.resume_reading()
    peer.socket.close(1000)
    assert peer.host.take_calls() == []


# ---------------------------------------------------------------- pings of the server


@pytest.fixture
def pinged() -> Peer:
    """Its client gets a ping 20 seconds after its last byte, and has 10 seconds to answer."""
    peer = Peer(ws_ping_interval=20.0, ws_ping_timeout=10.0)
    peer.socket.set_times(1000.0)
    return peer


def test_a_silent_client_gets_a_ping(pinged: Peer) -> None:
    assert pinged.socket.deadline() == 1020.0
    pinged.socket.expire()
    assert pinged.receives() == frame(PING, b"")
    assert pinged.socket.times[1] > 1000.0


def test_a_ping_has_to_be_answered_in_time(pinged: Peer) -> None:
    pinged.socket.set_times(1000.0, 1020.0)
    assert pinged.socket.deadline() == 1030.0
    pinged.socket.expire()
    assert pinged.receives() == close_frame(1011, "keepalive ping timeout")
    assert pinged.end == (1006, "keepalive ping timeout")
    assert pinged.socket.state.over


@pytest.mark.parametrize("answer", [feeding.frame(PONG), b"\x81"], ids=["pong", "any byte"])
def test_any_byte_answers_a_ping(pinged: Peer, answer: bytes) -> None:
    pinged.socket.set_times(1000.0, 1020.0)
    pinged.socket.receive(answer)
    received, ping, _ = pinged.socket.times
    assert received > 1020.0
    assert ping == 0
    assert pinged.end == (0, None)


def test_without_a_timeout_pings_are_repeated() -> None:
    peer = Peer(ws_ping_interval=20.0, ws_ping_timeout=0.0)
    peer.socket.set_times(1000.0, 1020.0)
    assert peer.socket.deadline() == 1040.0
    peer.socket.expire()
    assert peer.receives() == frame(PING, b"")


def test_without_an_interval_there_is_no_ping() -> None:
    assert Peer(ws_ping_interval=0.0).socket.deadline() == 0


def test_deadlines_of_pings_are_rounded_up() -> None:
    peer = Peer(ws_ping_interval=20.0)
    peer.socket.set_times(1000.3)
    assert peer.socket.deadline() == 1021.0
    peer = Peer(ws_ping_interval=2.0)
    peer.socket.set_times(1000.01)
    assert peer.socket.deadline() == pytest.approx(1002.1)


@pytest.mark.parametrize("why", ["paused", "blocked"])
def test_a_client_that_cannot_be_heard_is_not_pinged(why: str) -> None:
    peer = Peer(ws_ping_interval=20.0, ws_max_queue=1)
    if why == "paused":
        peer.socket.receive(feeding.text("x"))
    peer.host.is_blocked = why == "blocked"
    peer.socket.set_times(1000.0, 1020.0)
    peer.socket.expire()
    received, ping, _ = peer.socket.times
    assert received > 1020.0
    assert ping == 0
    assert peer.receives() == b""
