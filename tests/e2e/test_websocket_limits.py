"""Clients that send too much, or read too little: limits of memory and time, and no effect on other clients."""

import random
import select
import threading
from collections.abc import Callable

import pytest

from tests.codec.websocket.feeding import CONTINUATION, RSV1, compressed
from tests.e2e.websocket_client import BINARY, PING, TEXT, WebSocket, close, frame, open_websocket, text
from tests.helpers import Server, measures_memory, until

APP = "websocket_apps:app"

MIB = 1 << 20


@pytest.fixture
def server(shared: Callable[..., Server]) -> Server:
    return shared(app=APP)


# --- The largest message ---


@pytest.mark.parametrize(
    "data",
    [
        text("x" * 1001),
        frame(BINARY, b"", length=b"\x7f" + (1 << 60).to_bytes(8, "big")),
        frame(BINARY, b"x" * 600, fin=False) + frame(CONTINUATION, b"x" * 600),
    ],
    ids=["one byte more", "promised", "in fragments"],
)
def test_a_message_that_is_too_big(shared: Callable[..., Server], data: bytes) -> None:
    server = shared("--ws-max-size", "1000", app=APP)
    mark = server.log.mark()
    with open_websocket(server, "/echo?big") as client:
        client.echo("x" * 1000)
        client.send(data)
        assert client.closed()[0] == 1009
        assert client.gone()
    assert server.app_log("end of big", mark).startswith("1009")


def test_a_bomb(shared: Callable[..., Server]) -> None:
    server = shared("--ws-max-size", "1000", app=APP)
    (bomb,) = compressed(bytes(10 * MIB))
    with open_websocket(server, "/echo", b"Sec-WebSocket-Extensions: permessage-deflate") as client:
        client.send(frame(BINARY, bomb, rsv=RSV1))
        assert client.closed()[0] == 1009


# --- A peer that does not read ---


def send_what_fits(client: WebSocket, data: bytes) -> int:
    """Sends until the peer has accepted no data for a while; returns the number of bytes accepted."""
    client.sock.setblocking(False)
    view, done = memoryview(data), 0
    while done < len(data) and select.select([], [client.sock], [], 0.5)[1]:
        done += client.sock.send(view[done : done + 65536])
    client.sock.setblocking(True)
    return done


@pytest.mark.extended
@measures_memory
def test_an_application_that_does_not_listen(shared: Callable[..., Server]) -> None:
    """The client has to wait, and nothing is lost."""
    server = shared("--ws-max-queue", "4", app=APP)
    messages = [b"%d" % i + b"x" * 16000 for i in range(2000)]
    data = b"".join(frame(BINARY, message, key=bytes(4)) for message in messages)
    with open_websocket(server) as client:
        client.echo()
    before = server.resident()
    with open_websocket(server, "/deaf") as client:
        done = send_what_fits(client, data)
        assert done < len(data)
        assert server.resident() < before + 2 * MIB
        sender = threading.Thread(target=client.send, args=(data[done:],))
        sender.start()
        with open_websocket(server, "/listen"):
            assert [client.frame() for _ in messages] == [(BINARY, message) for message in messages]
        sender.join()


def sent(server: Server, client: WebSocket) -> int:
    """How many messages the /flood of this client has got rid of."""
    mark = server.log.mark()
    client.send(text("how many?"))
    return int(server.app_log("sent", mark))


def test_a_client_that_does_not_read(server: Server) -> None:
    """send() waits for a client that does not read, and returns when it does."""
    total = 400
    with open_websocket(server, f"/flood?{total}", buffer=65536) as client:
        counts = [sent(server, client)]

        def stands_still() -> bool:
            counts.append(sent(server, client))
            return len(counts) > 20 and counts[-1] == counts[-20]

        until(stands_still, "send() to wait")
        assert counts[-1] < total / 2
        with open_websocket(server) as other:
            other.echo()
        mark = server.log.mark()
        for _ in range(total):
            assert client.frame() == (BINARY, b"x" * 65536)
        assert server.app_log("flood ended", mark) == str(total)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_send_raises_when_the_client_that_it_waits_for_disconnects(server: Server, how: str) -> None:
    mark = server.log.mark()
    with open_websocket(server, "/flood?10000", buffer=65536) as client:
        assert sent(server, client) >= 0
        getattr(client, how)()
        assert server.app_log("flood ended", mark) == "OSError"


def test_send_raises_when_the_client_that_it_waits_for_sends_a_close_frame(server: Server) -> None:
    """The client may close without reading the data sent to it."""
    mark = server.log.mark()
    with open_websocket(server, "/flood?10000", buffer=65536) as client:
        assert sent(server, client) >= 0
        client.send(close(1000))
        assert server.app_log("flood ended", mark) == "OSError"


# --- Floods ---


@measures_memory
def test_a_flood_of_pings_by_a_client_that_reads_no_pongs(server: Server) -> None:
    with open_websocket(server) as other:
        other.echo()
        before = server.resident()
        with open_websocket(server, buffer=65536) as client:
            data = frame(PING, b"p" * 125, key=bytes(4)) * (32 * MIB // 131)
            assert send_what_fits(client, data) < len(data)
            other.echo()
            assert server.resident() < before + 2 * MIB


@measures_memory
@pytest.mark.parametrize(
    "flood",
    [frame(CONTINUATION, fin=False), frame(CONTINUATION, b"x", fin=False)],
    ids=["empty fragments", "fragments of a byte"],
)
def test_a_flood_of_fragments(server: Server, flood: bytes) -> None:
    count = 300_000
    with open_websocket(server) as other:
        other.echo()
        before = server.resident()
        with open_websocket(server) as client:
            client.send(frame(BINARY, fin=False) + flood * count)
            client.send(frame(PING, b"behind it"))
            other.echo()
            assert client.frame()[1] == b"behind it"
            assert server.resident() < before + 2 * MIB
            client.send(frame(CONTINUATION))
            opcode, payload = client.frame()
            assert opcode == BINARY
            assert len(payload) == count * (len(flood) - 6)


def test_a_flood_of_garbage(server: Server) -> None:
    choices = random.Random(1)
    for _ in range(20):
        with open_websocket(server) as client:
            # A length that is not the shortest: an error that ends the frames after it.
            client.send(frame(BINARY, choices.randbytes(1000), length=b"\x7e\x00\x01") + choices.randbytes(10_000))
            assert client.gone()
    with open_websocket(server) as client:
        client.echo()
        client.send(close(1000))
        assert client.closed() == (1000, "")


def test_a_flood_of_messages_does_not_starve_others(server: Server) -> None:
    with open_websocket(server) as other, open_websocket(server, buffer=65536) as client:
        send_what_fits(client, text("x") * 100_000)
        other.echo()
        assert server.get().body == b"hello\n"
        assert client.frame() == (TEXT, b"x")
