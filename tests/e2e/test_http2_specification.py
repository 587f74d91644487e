"""Each case of h2spec 2.6, by its number, over a socket and over TLS.

h2spec has the rules of RFC 7540 and RFC 7541 that a server can be asked for, and is a program of its own. The cases are
written here again: a client sends the frames of a case at once, and the response of the server has to be the one that
the case asks for. An error has the code of the specification, and after that of a connection the server closes it.
"""

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

import hpack
import hpack.huffman
import hpack.huffman_constants
import pytest

from tests.certificates import localhost, root
from tests.codec.http2 import frames as f
from tests.helpers import WAIT_SECONDS, Server

# Each case runs without TLS and with a certificate of its own.
pytestmark = pytest.mark.plain

MAX_WINDOW = 2**31 - 1
MAX_STREAMS = 128  # the default of --http2-max-concurrent-streams
HELLO = [*f.GET[:2], (b":path", b"/hello"), f.GET[3]]
ECHO = [f.POST[0], f.POST[1], (b":path", b"/echo"), f.POST[3]]

GET = f.headers(1, HELLO)
GET_BLOCK = f.block(HELLO)
OPEN = f.headers(1, ECHO, f.END_HEADERS)
PING = f.ping()
RESET = f.rst_stream(1)


class Wait(NamedTuple):
    """The client reads until a frame of this kind has arrived."""

    kind: int
    flags: int


STREAM_ENDED = Wait(f.DATA, f.END_STREAM)
BODY = Wait(f.DATA, 0)
SETTINGS_ACK = Wait(f.SETTINGS, f.ACK)

Step = bytes | Wait


class Connection:
    """The client, which has all frames of the server since its own first ones."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.unread = b""
        self.frames: list[f.Frame] = []
        self.is_ended = False

    def receive(self) -> None:
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        self.is_ended = not data
        self.unread += data
        while len(self.unread) >= 9 and len(self.unread) >= (size := 9 + int.from_bytes(self.unread[:3], "big")):
            self.frames += f.frames_of(self.unread[:size])
            self.unread = self.unread[size:]

    def wait_for(self, is_wanted: Callable[[f.Frame], bool]) -> f.Frame:
        """Returns the first frame that is wanted."""
        while True:
            for each in self.frames:
                if is_wanted(each):
                    return each
            assert not self.is_ended, f"the server has closed the connection after {self.frames}"
            self.receive()

    def run(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            if isinstance(step, bytes):
                self.sock.sendall(step)
            else:
                self.wait_for(lambda each, step=step: each.kind == step.kind and each.flags & step.flags == step.flags)  # type: ignore[misc]
                self.frames.clear()

    def wait_for_end(self) -> None:
        while not self.is_ended:
            self.receive()


Check = Callable[[Connection], None]


def answer(*, stream: int = 1, body: bytes = b"hello\n") -> Check:
    """The request is answered, and nothing else happens."""

    def check(connection: Connection) -> None:
        last = connection.wait_for(lambda each: each.stream == stream and bool(each.flags & f.END_STREAM))
        assert last.kind in (f.HEADERS, f.DATA)
        head = connection.wait_for(lambda each: (each.stream, each.kind) == (stream, f.HEADERS))
        assert (b":status", b"200") in f.fields_of(head)
        assert b"".join(each.payload for each in connection.frames if each.kind == f.DATA) == body
        assert f.resets(connection.frames) == []
        assert f.goaways(connection.frames) == []

    return check


def pong(connection: Connection) -> None:
    """The connection is alive, which the PING at the end of the case shows."""
    reply = connection.wait_for(lambda each: each.kind == f.PING)
    assert (reply.flags, reply.payload) == (f.ACK, b"pingping")
    assert f.goaways(connection.frames) == []


def body_of_one_byte(connection: Connection) -> None:
    assert connection.wait_for(lambda each: each.kind == f.DATA).payload == b"h"


def settings_ack(connection: Connection) -> None:
    assert connection.wait_for(lambda each: each.kind == f.SETTINGS).flags == f.ACK


def end(connection: Connection) -> None:
    connection.wait_for_end()


def connection_error(*codes: int) -> Check:
    """RFC 9113 section 5.4.1: GOAWAY with one of the codes, and the end of the connection."""

    def check(connection: Connection) -> None:
        goaway = connection.wait_for(lambda each: each.kind == f.GOAWAY)
        assert f.code_of(goaway) in codes
        connection.wait_for_end()

    return check


def stream_error(*codes: int, stream: int = 1) -> Check:
    """RFC 9113 section 5.4.2: RST_STREAM with one of the codes. It may be an error of the connection, too."""

    def check(connection: Connection) -> None:
        error = connection.wait_for(lambda each: each.kind in (f.RST_STREAM, f.GOAWAY))
        assert f.code_of(error) in codes
        assert error.kind == f.GOAWAY or error.stream == stream

    return check


def priority(stream: int, *, on: int = 0, weight: int = 255, exclusive: bool = False) -> bytes:
    return f.frame(f.PRIORITY, 0, stream, struct.pack(">IB", on | exclusive << 31, weight))


def head(stream: int, *pairs: tuple[bytes, bytes], flags: int = f.END_STREAM | f.END_HEADERS) -> bytes:
    """A GET of /hello with other fields after its own ones."""
    return f.headers(stream, [*HELLO, *pairs], flags)


def without(name: bytes) -> bytes:
    return f.headers(1, [pair for pair in HELLO if pair[0] != name])


def block(*representations: bytes) -> bytes:
    """A GET of /hello whose field block ends with these bytes."""
    return f.frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, 1, GET_BLOCK + b"".join(representations))


def plain(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def huffman(text: bytes) -> bytes:
    constants = hpack.huffman_constants
    encoder = hpack.huffman.HuffmanEncoder(constants.REQUEST_CODES, constants.REQUEST_CODES_LENGTH)
    coded = encoder.encode(text)
    return bytes([0x80 | len(coded)]) + coded


def continuation(stream: int, fields: f.Fields, flags: int = f.END_HEADERS) -> bytes:
    return f.frame(f.CONTINUATION, flags, stream, f.block(fields))


def padded(kind: int, flags: int, payload: bytes, pad_length: int, padding: bytes) -> bytes:
    return f.frame(kind, flags | f.PADDED, 1, bytes([pad_length]) + payload + padding)


def raw_settings(*pairs: tuple[int, int]) -> bytes:
    return f.frame(f.SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


USER_AGENT = b"x"
PART = [(b"x-part", b"1")]
UNFINISHED = f.headers(1, HELLO, f.END_STREAM)  # without END_HEADERS
PROTOCOL, FLOW, CLOSED, SIZE, COMPRESSION = (
    f.PROTOCOL_ERROR, f.FLOW_CONTROL_ERROR, f.STREAM_CLOSED, f.FRAME_SIZE_ERROR, f.COMPRESSION_ERROR,
)  # fmt: skip

Case = tuple[str, tuple[Step, ...], Check]

GENERIC: list[Case] = [
    ("1/1", (GET,), answer()),
    ("2/1: PRIORITY, idle", (priority(1) + PING,), pong),
    ("2/2: WINDOW_UPDATE, half-closed", (f.settings(window=0) + GET + f.window_update(1, 1),), body_of_one_byte),
    ("2/3: PRIORITY, half-closed", (f.settings(window=0) + GET + priority(1) + f.window_update(1, 1),),
     body_of_one_byte),
    ("2/4: RST_STREAM, half-closed", (GET + RESET + PING,), pong),
    ("2/5: PRIORITY, closed", (GET, STREAM_ENDED, priority(1) + PING), pong),
    ("3.1/1: DATA", (OPEN + f.data(1, b"test", f.END_STREAM),), answer(body=b"test")),
    ("3.1/2: several DATA", (OPEN + f.data(1, b"te") + f.data(1, b"st", f.END_STREAM),), answer(body=b"test")),
    ("3.1/3: DATA with padding", (OPEN + padded(f.DATA, f.END_STREAM, b"test", 6, bytes(6)),), answer(body=b"test")),
    ("3.2/1: HEADERS", (GET,), answer()),
    ("3.2/2: HEADERS with padding",
     (padded(f.HEADERS, f.END_STREAM | f.END_HEADERS, GET_BLOCK, 6, bytes(6)),), answer()),
    ("3.2/3: HEADERS with a priority",
     (f.frame(f.HEADERS, f.END_STREAM | f.END_HEADERS | f.HAS_PRIORITY, 1, struct.pack(">IB", 0, 255) + GET_BLOCK),),
     answer()),
    ("3.3/1: weight 1", (priority(1, weight=0) + GET,), answer()),
    ("3.3/2: weight 256", (priority(1, weight=255) + GET,), answer()),
    ("3.3/3: dependency", (priority(3, on=1) + GET,), answer()),
    ("3.3/4: exclusive", (priority(1, exclusive=True) + GET,), answer()),
    ("3.3/5: HEADERS of a lower stream after PRIORITY", (priority(3) + GET,), answer()),
    ("3.4/1: RST_STREAM", (OPEN + RESET + PING,), pong),
    ("3.5/1: SETTINGS", (f.settings(streams=100),), settings_ack),
    ("3.7/1: PING", (PING,), pong),
    ("3.8/1: GOAWAY", (f.frame(f.GOAWAY, 0, 0, bytes(8)),), end),
    ("3.9/1: WINDOW_UPDATE of the connection", (f.window_update(0, 1) + GET,), answer()),
    ("3.9/2: WINDOW_UPDATE of a stream", (f.settings(window=0) + GET + f.window_update(1, 1),), body_of_one_byte),
    ("3.10/1: CONTINUATION", (UNFINISHED + continuation(1, PART),), answer()),
    ("3.10/2: several CONTINUATION", (UNFINISHED + continuation(1, PART, 0) + continuation(1, PART),), answer()),
    ("4/1: GET", (GET,), answer()),
    ("4/2: HEAD", (f.headers(1, [(b":method", b"HEAD"), *HELLO[1:]]),), answer(body=b"")),
    ("4/3: POST", (OPEN + f.data(1, b"test", f.END_STREAM),), answer(body=b"test")),
    ("4/4: POST with trailers", (OPEN + f.data(1, b"test") + f.headers(1, PART),), answer(body=b"test")),
    ("5/1: indexed field",
     (f.frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, 1, b"\x82" + f.block(HELLO[1:])),), answer()),
    ("5/2: incremental, indexed name", (block(b"\x7a", plain(USER_AGENT)),), answer()),
    ("5/3: incremental, indexed name, Huffman", (block(b"\x7a", huffman(USER_AGENT)),), answer()),
    ("5/4: incremental, new name", (block(b"\x40", plain(b"x-test"), plain(b"test")),), answer()),
    ("5/5: incremental, new name, Huffman", (block(b"\x40", huffman(b"x-test"), huffman(b"test")),), answer()),
    ("5/6: not indexed, indexed name", (block(b"\x0f\x2b", plain(USER_AGENT)),), answer()),
    ("5/7: not indexed, indexed name, Huffman", (block(b"\x0f\x2b", huffman(USER_AGENT)),), answer()),
    ("5/8: not indexed, new name", (block(b"\x00", plain(b"x-test"), plain(b"test")),), answer()),
    ("5/9: not indexed, new name, Huffman", (block(b"\x00", huffman(b"x-test"), huffman(b"test")),), answer()),
    ("5/10: never indexed, indexed name", (block(b"\x1f\x2b", plain(USER_AGENT)),), answer()),
    ("5/11: never indexed, indexed name, Huffman", (block(b"\x1f\x2b", huffman(USER_AGENT)),), answer()),
    ("5/12: never indexed, new name", (block(b"\x10", plain(b"x-test"), plain(b"test")),), answer()),
    ("5/13: never indexed, new name, Huffman", (block(b"\x10", huffman(b"x-test"), huffman(b"test")),), answer()),
    ("5/14: table size update",
     (f.frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, 1, b"\x20" + GET_BLOCK),), answer()),
    ("5/15: two table size updates",
     (f.frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, 1, b"\x20\x3f\xe1\x1f" + GET_BLOCK),), answer()),
]  # fmt: skip

HTTP2: list[Case] = [
    ("3.5/1: preface", (PING,), pong),
    # 3.5/2 is test_an_invalid_preface_ends_the_connection().
    ("4.1/1: unknown type", (f.frame(0x16, 0, 0, bytes(8)) + PING,), pong),
    ("4.1/2: undefined flags", (f.ping(flags=0x16),), pong),
    ("4.1/3: reserved bit", (f.frame(f.PING, 0, 1 << 31, b"pingping"),), pong),
    ("4.2/1: largest DATA", (OPEN + f.data(1, b"x" * 16384, f.END_STREAM),), answer(body=b"x" * 16384)),
    ("4.2/2: too large DATA", (OPEN + f.data(1, bytes(16385), f.END_STREAM),), stream_error(SIZE)),
    ("4.2/3: too large HEADERS", (head(1, (b"x-large", bytes(16385))),), connection_error(SIZE)),
    ("4.3/1: invalid block", (f.frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, 1, b"\x40"),),
     connection_error(COMPRESSION)),
    ("4.3/2: PRIORITY in a block", (UNFINISHED + priority(1) + continuation(1, PART),), connection_error(PROTOCOL)),
    ("4.3/3: HEADERS of another stream in a block", (UNFINISHED + head(3) + continuation(1, PART),),
     connection_error(PROTOCOL)),
    ("5.1/1: idle, DATA", (f.data(1, b"test", f.END_STREAM),), connection_error(PROTOCOL)),
    ("5.1/2: idle, RST_STREAM", (RESET,), connection_error(PROTOCOL)),
    ("5.1/3: idle, WINDOW_UPDATE", (f.window_update(1, 100),), connection_error(PROTOCOL)),
    ("5.1/4: idle, CONTINUATION", (continuation(1, HELLO),), connection_error(PROTOCOL)),
    ("5.1/5: half-closed, DATA", (GET + f.data(1, b"test", f.END_STREAM),), stream_error(CLOSED)),
    ("5.1/6: half-closed, HEADERS", (GET + GET,), stream_error(CLOSED)),
    ("5.1/7: half-closed, CONTINUATION", (GET + continuation(1, HELLO),), stream_error(CLOSED, PROTOCOL)),
    ("5.1/8: reset, DATA", (OPEN + RESET + f.data(1, b"test", f.END_STREAM),), stream_error(CLOSED)),
    ("5.1/9: reset, HEADERS", (OPEN + RESET + GET,), stream_error(CLOSED)),
    ("5.1/10: reset, CONTINUATION", (OPEN + RESET + continuation(1, PART),), stream_error(CLOSED, PROTOCOL)),
    ("5.1/11: closed, DATA", (GET, STREAM_ENDED, f.data(1, b"test", f.END_STREAM)), connection_error(CLOSED)),
    ("5.1/12: closed, HEADERS", (GET, STREAM_ENDED, GET), connection_error(CLOSED)),
    ("5.1/13: closed, CONTINUATION", (GET, STREAM_ENDED, continuation(1, PART)), connection_error(CLOSED, PROTOCOL)),
    ("5.1.1/1: even number", (head(2),), connection_error(PROTOCOL)),
    ("5.1.1/2: smaller number", (head(5) + head(3),), connection_error(PROTOCOL)),
    ("5.1.2/1: too many streams",
     (f.settings(window=0) + b"".join(head(2 * i + 1) for i in range(MAX_STREAMS + 1)),),
     stream_error(PROTOCOL, f.REFUSED_STREAM, stream=2 * MAX_STREAMS + 1)),
    ("5.3.1/1: HEADERS that depends on itself",
     (f.frame(f.HEADERS, f.END_STREAM | f.END_HEADERS | f.HAS_PRIORITY, 1, struct.pack(">IB", 1, 255) + GET_BLOCK),),
     stream_error(PROTOCOL)),
    ("5.3.1/2: PRIORITY that depends on itself", (priority(1, on=1),), stream_error(PROTOCOL)),
    ("5.4.1/1: end after an error", (f.frame(f.PING, 0, 3, bytes(8)),), end),
    ("5.4.1/2: GOAWAY before the end", (f.frame(f.PING, 0, 3, bytes(8)),), connection_error(PROTOCOL)),
    ("5.5/1: unknown frame", (f.frame(0xFF, 0, 0, bytes(8)) + PING,), pong),
    ("5.5/2: unknown frame in a block", (UNFINISHED + f.frame(0xFF, 0, 0, bytes(8)),), connection_error(PROTOCOL)),
    ("6.1/1: DATA of stream 0", (f.data(0, b"test", f.END_STREAM),), connection_error(PROTOCOL)),
    ("6.1/2: DATA, not open", (GET + f.data(1, b"test", f.END_STREAM),), stream_error(CLOSED)),
    ("6.1/3: invalid padding of DATA", (OPEN + padded(f.DATA, f.END_STREAM, b"test", 6, b""),),
     connection_error(PROTOCOL)),
    ("6.2/1: PRIORITY in a block", (UNFINISHED + priority(1) + continuation(1, PART),), connection_error(PROTOCOL)),
    ("6.2/2: HEADERS in a block", (UNFINISHED + head(3) + continuation(1, PART),), connection_error(PROTOCOL)),
    ("6.2/3: HEADERS of stream 0", (head(0),), connection_error(PROTOCOL)),
    ("6.2/4: invalid padding of HEADERS",
     (padded(f.HEADERS, f.END_STREAM | f.END_HEADERS, GET_BLOCK, len(GET_BLOCK) + 1, b""),), stream_error(PROTOCOL)),
    ("6.3/1: PRIORITY of stream 0", (priority(0),), connection_error(PROTOCOL)),
    ("6.3/2: length of PRIORITY", (OPEN + f.frame(f.PRIORITY, 0, 1, bytes(4)),), stream_error(SIZE)),
    ("6.4/1: RST_STREAM of stream 0", (f.rst_stream(0),), connection_error(PROTOCOL)),
    ("6.4/2: RST_STREAM, idle", (RESET,), connection_error(PROTOCOL)),
    ("6.4/3: length of RST_STREAM", (OPEN + f.frame(f.RST_STREAM, 0, 1, bytes(3)),), connection_error(SIZE)),
    ("6.5/1: SETTINGS with ACK and payload", (f.frame(f.SETTINGS, f.ACK, 0, bytes(1)),), connection_error(SIZE)),
    ("6.5/2: SETTINGS of a stream", (f.frame(f.SETTINGS, 0, 1, struct.pack(">HI", 3, 100)),),
     connection_error(PROTOCOL)),
    ("6.5/3: length of SETTINGS", (f.frame(f.SETTINGS, 0, 0, bytes(3)),), connection_error(SIZE)),
    ("6.5.2/1: SETTINGS_ENABLE_PUSH", (raw_settings((2, 2)),), connection_error(PROTOCOL)),
    ("6.5.2/2: SETTINGS_INITIAL_WINDOW_SIZE", (raw_settings((4, 2**31)),), connection_error(FLOW)),
    ("6.5.2/3: small SETTINGS_MAX_FRAME_SIZE", (raw_settings((5, 16383)),), connection_error(PROTOCOL)),
    ("6.5.2/4: large SETTINGS_MAX_FRAME_SIZE", (raw_settings((5, 2**24)),), connection_error(PROTOCOL)),
    ("6.5.2/5: unknown setting", (raw_settings((0xFF, 1)) + PING,), pong),
    ("6.5.3/1: two values", (raw_settings((4, 100), (4, 1)), SETTINGS_ACK, GET), body_of_one_byte),
    ("6.5.3/2: acknowledgement", (raw_settings((2, 0)),), settings_ack),
    ("6.7/1: PING", (PING,), pong),
    ("6.7/2: PING with ACK", (f.ping(b"reply...", f.ACK) + PING,), pong),
    ("6.7/3: PING of a stream", (f.frame(f.PING, 0, 1, bytes(8)),), connection_error(PROTOCOL)),
    ("6.7/4: length of PING", (f.frame(f.PING, 0, 0, bytes(6)),), connection_error(SIZE)),
    ("6.8/1: GOAWAY of a stream", (f.frame(f.GOAWAY, 0, 1, bytes(8)),), connection_error(PROTOCOL)),
    ("6.9/1: WINDOW_UPDATE by 0", (f.window_update(0, 0),), connection_error(PROTOCOL)),
    ("6.9/2: WINDOW_UPDATE by 0 of a stream", (OPEN + f.window_update(1, 0),), stream_error(PROTOCOL)),
    ("6.9/3: length of WINDOW_UPDATE", (f.frame(f.WINDOW_UPDATE, 0, 0, bytes(3)),), connection_error(SIZE)),
    ("6.9.1/1: window of 1", (f.settings(window=1) + GET,), body_of_one_byte),
    ("6.9.1/2: too large window of the connection", (f.window_update(0, MAX_WINDOW) * 2,), connection_error(FLOW)),
    ("6.9.1/3: too large window of a stream", (OPEN + f.window_update(1, MAX_WINDOW) * 2,), stream_error(FLOW)),
    ("6.9.2/1: window changed", (f.settings(window=0), SETTINGS_ACK, GET + f.settings(window=1)), body_of_one_byte),
    ("6.9.2/2: negative window",
     (f.settings(window=3), SETTINGS_ACK, GET, BODY, f.settings(window=2), SETTINGS_ACK, f.window_update(1, 2)),
     lambda connection: check_payload(connection, b"l")),
    ("6.9.2/3: too large initial window", (raw_settings((4, 2**31)),), connection_error(FLOW)),
    ("6.10/1: several CONTINUATION", (UNFINISHED + continuation(1, PART, 0) + continuation(1, PART),), answer()),
    ("6.10/2: CONTINUATION, then DATA", (UNFINISHED + continuation(1, PART, 0) + f.data(1, b"test", f.END_STREAM),),
     connection_error(PROTOCOL)),
    ("6.10/3: CONTINUATION of stream 0", (UNFINISHED + continuation(0, PART),), connection_error(PROTOCOL)),
    ("6.10/4: CONTINUATION after END_HEADERS", (OPEN + continuation(1, PART),), connection_error(PROTOCOL)),
    ("6.10/5: CONTINUATION after CONTINUATION with END_HEADERS",
     (f.headers(1, ECHO, 0) + continuation(1, PART) + continuation(1, PART),), connection_error(PROTOCOL)),
    ("6.10/6: CONTINUATION after DATA", (OPEN + f.data(1, b"test") + continuation(1, PART),),
     connection_error(PROTOCOL)),
    ("7/1: GOAWAY with an unknown code", (f.frame(f.GOAWAY, 0, 0, struct.pack(">II", 0, 0xFF)),), end),
    ("7/2: RST_STREAM with an unknown code", (OPEN + f.rst_stream(1, 0xFF) + PING,), pong),
    ("8.1/1: second HEADERS without END_STREAM",
     (OPEN + f.data(1, b"test") + f.headers(1, PART, f.END_HEADERS),), stream_error(PROTOCOL)),
    ("8.1.2/1: upper case", (head(1, (b"X-TEST", b"ok")),), stream_error(PROTOCOL)),
    ("8.1.2.1/1: unknown pseudo-field", (head(1, (b":test", b"ok")),), stream_error(PROTOCOL)),
    ("8.1.2.1/2: pseudo-field of responses", (head(1, (b":status", b"200")),), stream_error(PROTOCOL)),
    ("8.1.2.1/3: pseudo-field in trailers",
     (OPEN + f.data(1, b"test") + f.headers(1, [(b":method", b"GET")]),), stream_error(PROTOCOL)),
    ("8.1.2.1/4: pseudo-field after others", (f.headers(1, [*HELLO[:3], *PART, HELLO[3]]),), stream_error(PROTOCOL)),
    ("8.1.2.2/1: field of the connection", (head(1, (b"connection", b"keep-alive")),), stream_error(PROTOCOL)),
    ("8.1.2.2/2: te", (head(1, (b"te", b"trailers, deflate;q=0.5")),), stream_error(PROTOCOL)),
    ("8.1.2.3/1: empty :path", (f.headers(1, [*HELLO[:2], (b":path", b""), HELLO[3]]),), stream_error(PROTOCOL)),
    ("8.1.2.3/2: no :method", (without(b":method"),), stream_error(PROTOCOL)),
    ("8.1.2.3/3: no :scheme", (without(b":scheme"),), stream_error(PROTOCOL)),
    ("8.1.2.3/4: no :path", (without(b":path"),), stream_error(PROTOCOL)),
    ("8.1.2.3/5: two :method", (f.headers(1, [HELLO[0], *HELLO]),), stream_error(PROTOCOL)),
    ("8.1.2.3/6: two :scheme", (f.headers(1, [HELLO[1], *HELLO]),), stream_error(PROTOCOL)),
    ("8.1.2.3/7: two :path", (f.headers(1, [HELLO[2], *HELLO]),), stream_error(PROTOCOL)),
    ("8.1.2.6/1: other content-length",
     (f.headers(1, [*ECHO, (b"content-length", b"1")], f.END_HEADERS) + f.data(1, b"test", f.END_STREAM),),
     stream_error(PROTOCOL)),
    ("8.1.2.6/2: other content-length, several DATA",
     (f.headers(1, [*ECHO, (b"content-length", b"1")], f.END_HEADERS)
      + f.data(1, b"test") + f.data(1, b"test", f.END_STREAM),),
     stream_error(PROTOCOL)),
    ("8.2/1: PUSH_PROMISE", (f.frame(f.PUSH_PROMISE, f.END_HEADERS, 1, struct.pack(">I", 3) + GET_BLOCK),),
     connection_error(PROTOCOL)),
]  # fmt: skip

HPACK: list[Case] = [
    ("2.3.3/1: index of no field", (block(b"\xc6"),), connection_error(COMPRESSION)),
    ("2.3.3/2: index of no name", (block(b"\x7f\x07", plain(b"test")),), connection_error(COMPRESSION)),
    ("4.2/1: table size update at the end", (block(b"\x20"),), connection_error(COMPRESSION)),
    ("5.2/1: padding of 8 bits", (block(b"\x00", plain(b"x-test"), b"\x81\xff"),), connection_error(COMPRESSION)),
    ("5.2/2: padding of zeros", (block(b"\x00", plain(b"x-test"), b"\x81\x18"),), connection_error(COMPRESSION)),
    ("5.2/3: EOS", (block(b"\x00", plain(b"x-test"), b"\x84\xff\xff\xff\xff"),), connection_error(COMPRESSION)),
    ("6.1/1: index 0", (block(b"\x80"),), connection_error(COMPRESSION)),
    ("6.3/1: too large table size",
     (f.frame(f.HEADERS, f.END_STREAM | f.END_HEADERS, 1, b"\x3f\xe2\x1f" + GET_BLOCK),),
     connection_error(COMPRESSION)),
]  # fmt: skip

CASES = [
    pytest.param(steps, check, id=f"{group}/{title}".replace(" ", "-"))
    for group, cases in (("generic", GENERIC), ("http2", HTTP2), ("hpack", HPACK))
    for title, steps, check in cases
]


def check_payload(connection: Connection, payload: bytes) -> None:
    assert connection.wait_for(lambda each: each.kind == f.DATA).payload == payload


@pytest.fixture(params=["cleartext", "tls"])
def sock(
    request: pytest.FixtureRequest, shared: Callable[..., Server], certificate: tuple[str, str]
) -> Iterator[socket.socket]:
    if request.param == "cleartext":
        address = shared("--http2-cleartext").address
        with socket.create_connection(address, timeout=WAIT_SECONDS) as sock:  # type: ignore[arg-type]
            yield sock
        return
    certfile, keyfile = certificate
    address = shared("--ssl-certfile", certfile, "--ssl-keyfile", keyfile).address
    context = ssl.create_default_context(cadata=root().pem.decode())
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(address, timeout=WAIT_SECONDS) as plain_sock,  # type: ignore[arg-type]
        context.wrap_socket(plain_sock, server_hostname="localhost", suppress_ragged_eofs=True) as sock,
    ):
        yield sock


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return localhost().write(tmp_path_factory.mktemp("http2"), "server")


@pytest.mark.parametrize(("steps", "check"), CASES)
def test_case(sock: socket.socket, steps: tuple[Step, ...], check: Check) -> None:
    connection = Connection(sock)
    connection.run((f.START, SETTINGS_ACK))
    connection.run(steps)
    check(connection)


def test_an_invalid_preface_ends_the_connection(sock: socket.socket) -> None:
    """http2/3.5/2"""
    sock.sendall(b"INVALID CONNECTION PREFACE\r\n\r\n")
    while sock.recv(65536):
        pass
