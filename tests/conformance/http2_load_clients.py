"""Clients of HTTP/2 that honour GOAWAY: a request that the server did not promise to handle goes to another connection.

RFC 9113 section 6.8: all streams up to the last one that GOAWAY names are answered. So each request is answered once,
and anything else is a failure. The library h2 takes the first GOAWAY for the end, so these clients read frames.
"""

import itertools
import socket

from hpack import Decoder, Encoder
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from tests.conformance.load_clients import Failure, LoadClient, body_of
from tests.helpers import WAIT_SECONDS, Address

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CONCURRENT = 8
REFUSED_STREAM = 7
WINDOW = 1 << 20


class Http2LoadClient(LoadClient):
    """A client that always has CONCURRENT requests under way."""

    def __init__(self, address: Address, first: int) -> None:
        super().__init__(address, first, "busy")
        self._again: list[int] = []  # numbers of requests that were not handled

    def run(self) -> None:
        while not self._over.is_set():
            self._worker = None
            try:
                assert isinstance(self._address, tuple)
                with socket.create_connection(self._address, timeout=3 * WAIT_SECONDS) as sock:
                    self._use_stream_connection(StreamConnection(sock))
            except (OSError, AssertionError, ValueError) as problem:
                self.failures.append(Failure(self._worker, f"{type(problem).__name__}: {problem}"))
                self._over.wait(0.05)  # not to fail a thousand times

    def _use_stream_connection(self, connection: "StreamConnection") -> None:
        while connection.open or not (connection.is_ending or self._over.is_set()):
            while len(connection.open) < CONCURRENT and not connection.is_ending and not self._over.is_set():
                connection.ask(self._again.pop() if self._again else next(self._numbers))
            for number, body in connection.receive():
                self._check(number, body)
            self._again += connection.unhandled
            connection.unhandled.clear()


class StreamConnection:
    """open: the numbers of the requests under way, by stream. unhandled: of those that the server has refused."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._encoder, self._decoder = Encoder(), Decoder()
        self._streams = itertools.count(1, 2)
        self._data = b""
        self._window = 65535  # of the connection (RFC 9113 section 6.9.2)
        self._bodies: dict[int, bytes] = {}
        self.open: dict[int, int] = {}
        self.unhandled: list[int] = []
        self.is_ending = False
        settings = SettingsFrame(0, {SettingsFrame.INITIAL_WINDOW_SIZE: WINDOW})
        sock.sendall(PREFACE + settings.serialize() + WindowUpdateFrame(0, window_increment=1 << 30).serialize())

    def ask(self, number: int) -> None:
        """Sends a request. Raises AssertionError if its body exceeds the window of the connection."""
        stream = next(self._streams)
        body = body_of(number)
        nap = "?nap=0.03" if number % 10 == 0 else ""
        head = [(":method", "POST" if body else "GET"), (":scheme", "http"), (":authority", "localhost"),
                (":path", f"/{number}{nap}")]  # fmt: skip
        flags = ["END_HEADERS"] if body else ["END_HEADERS", "END_STREAM"]
        frames: list[Frame] = [HeadersFrame(stream, self._encoder.encode(head), flags=flags)]
        if body:
            frames.append(DataFrame(stream, body, flags=["END_STREAM"]))
        self._window -= len(body)
        assert self._window >= 0
        self.open[stream] = number
        self._bodies[stream] = b""
        self._sock.sendall(b"".join(frame.serialize() for frame in frames))

    def receive(self) -> list[tuple[int, bytes]]:
        """Waits for bytes. Returns the numbers and bodies of the responses that are complete."""
        data = self._sock.recv(65536)
        assert data or not self.open, f"closed with {len(self.open)} open requests"
        self.is_ending |= not data
        self._data += data
        done = []
        while len(self._data) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(self._data[:9]))
            if len(self._data) < 9 + length:
                break
            frame.parse_body(memoryview(self._data[9 : 9 + length]))
            self._data = self._data[9 + length :]
            self._take(frame)
            if "END_STREAM" in frame.flags:
                done.append((self.open.pop(frame.stream_id), self._bodies.pop(frame.stream_id)))
        return done

    def _take(self, frame: Frame) -> None:
        match frame:
            case SettingsFrame() if "ACK" not in frame.flags:
                self._sock.sendall(SettingsFrame(0, flags=["ACK"]).serialize())
            case PingFrame() if "ACK" not in frame.flags:
                self._sock.sendall(PingFrame(0, frame.opaque_data, flags=["ACK"]).serialize())
            case WindowUpdateFrame() if frame.stream_id == 0:
                self._window += frame.window_increment
            case HeadersFrame():
                fields = dict(self._decoder.decode(frame.data, raw=True))
                assert fields[b":status"] == b"200", fields
            case DataFrame():
                self._bodies[frame.stream_id] += frame.data
            case GoAwayFrame():
                assert frame.error_code == 0, f"GOAWAY with error {frame.error_code}"
                self.is_ending = True
                for stream in [stream for stream in self.open if stream > frame.last_stream_id]:
                    self._give_up(stream)
            case RstStreamFrame():
                assert frame.error_code == REFUSED_STREAM, f"RST_STREAM with error {frame.error_code}"
                self._give_up(frame.stream_id)

    def _give_up(self, stream: int) -> None:
        self.unhandled.append(self.open.pop(stream))
        del self._bodies[stream]
