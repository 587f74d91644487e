"""WebSockets as the bench needs them: a handshake, frames to send, one compared answer, and messages.c for the load."""

import base64
import hashlib
import json
import random
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from client import AnswerError, Connection, Request
from peers import PROGRAMS
from process import ServerError, pinned

MESSAGES = PROGRAMS / "messages"
KEY = base64.b64encode(bytes(16)).decode()
ACCEPT = base64.b64encode(
    hashlib.sha1(f"{KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
)  # RFC 6455, 4.2.2
MASK = bytes.fromhex("37fa213d")
FIN, COMPRESSED, CONTROL, TEXT, MASKED = 0x80, 0x40, 0x08, 0x01, 0x80
WINDOW_BITS = 12  # the minimum that a server here requires of its clients
MAX_WINDOW = 1 << 15  # bytes, of any compressor
SYNC_TAIL = b"\x00\x00\xff\xff"  # RFC 7692, 7.2.1

WORDS = (
    "time year people way day man thing woman life child world school state family student group country problem hand"
    " part place case week company system program question work number night point home water room mother area money"
)

Mode = Literal["idle", "echo", "fanout"]


@dataclass(frozen=True)
class MessagesResult:
    """Counts of a period; times in microseconds from sending a message until its answer arrives."""

    messages: int
    pings: int
    seconds: float
    p50_us: float
    p99_us: float
    received: int  # bytes, with the headers of frames
    cpu_ns: int  # user and system time of the program


class Messages:
    """The running program with all its connections open."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._commands, self._results, self._complaints = process.stdin, process.stdout, process.stderr

    def measure(self, seconds: float) -> MessagesResult:
        """Measures a period; raises AnswerError on any failure. The first call starts the messages."""
        with suppress(BrokenPipeError):  # read_line() knows more
            self._commands.write(b"%f\n" % seconds)
        told = json.loads(self.read_line())
        return MessagesResult(
            messages=told["messages"],
            pings=told["pings"],
            seconds=told["duration_us"] / 1e6,
            p50_us=told["p50_us"],
            p99_us=told["p99_us"],
            received=told["received"],
            cpu_ns=told["cpu_us"] * 1000,
        )

    def read_line(self) -> bytes:
        """Reads the program's next line; raises AnswerError with its error output if it has exited."""
        if line := self._results.readline():
            return line
        raise AnswerError(self._complaints.read().decode().strip())


@contextmanager
def messages(
    port: int, connections: int, handshake: bytes, core: int, mode: Mode = "idle", frames: bytes = b""
) -> Iterator[Messages]:
    """They are open for as long as the block lasts; AnswerError when one could not be opened."""
    with tempfile.TemporaryDirectory(prefix="bench-messages-") as folder:
        command = [str(MESSAGES), str(port), str(connections)]
        for name, content in ("handshake", handshake), ("frames", frames):
            Path(folder, name).write_bytes(content)
        command += [f"{folder}/handshake", mode, *([f"{folder}/frames"] if frames else [])]
        with pinned(core):
            # Unbuffered: closing a pipe must not retry a failed write.
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
            )
        with process:
            try:
                running = Messages(process)
                running.read_line()
                yield running
            finally:
                process.kill()


def handshake(deflated: bool = False) -> Request:
    """Returns a handshake as browsers send it, with or without compression."""
    fields = (
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
    )
    extensions = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
    return Request(headers=(*fields, extensions) if deflated else fields)


def texts(size: int) -> list[bytes]:
    """Messages of that many bytes like JSON, as many different ones as no window of a compressor holds."""
    chance = random.Random(size)
    return [_text(size, chance).encode() for _ in range(1 + 2 * MAX_WINDOW // size)]


def _text(size: int, chance: random.Random) -> str:
    text = f'{{"id":{chance.randrange(10**6)},"words":"'
    return text + " ".join(chance.choices(WORDS.split(), k=size))[: size - len(text) - 2] + '"}'


def frame(text: bytes, deflated: bool = False) -> bytes:
    """The text as a client sends it. Compressed by itself: the same bytes are sent on any connection at any time."""
    if deflated:
        compressor = zlib.compressobj(wbits=-WINDOW_BITS)
        text = (compressor.compress(text) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(SYNC_TAIL)
    mask = (MASK * (len(text) // len(MASK) + 1))[: len(text)]
    masked = (int.from_bytes(text) ^ int.from_bytes(mask)).to_bytes(len(text))
    return bytes([FIN | TEXT | (COMPRESSED if deflated else 0)]) + _masked_length(len(text)) + MASK + masked


def _masked_length(size: int) -> bytes:
    if size < 126:
        return bytes([MASKED | size])
    return bytes([MASKED | 126]) + size.to_bytes(2) if size < 1 << 16 else bytes([MASKED | 127]) + size.to_bytes(8)


def check_message(port: int, text: bytes, expected: bytes, deflated: bool = False) -> None:
    """Sends the text once, wants the expected one; ServerError without the compression, OSError or AnswerError."""
    with Connection(port) as connection:
        connection.socket.sendall(handshake(deflated).raw(port))
        status, fields = connection.read_head()
        if status != 101 or fields.get(b"sec-websocket-accept") != ACCEPT:
            raise AnswerError(f"no WebSocket: status {status}")
        if deflated and b"permessage-deflate" not in fields.get(b"sec-websocket-extensions", b""):
            raise ServerError("has no permessage-deflate")
        connection.socket.sendall(frame(text, deflated))
        if (got := _read_message(connection)) != expected:
            raise AnswerError(f"wrong message of {len(got)} bytes: {got[:80]!r}")


def has_message(received: bytearray) -> bool:
    """Whether the bytes of a server end with the last frame of a message."""
    position, is_last = 0, False
    while position + 2 <= len(received):
        first, length = received[position : position + 2]
        position += 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length = int.from_bytes(received[position : position + size])
            position += size
        position += length
        is_last = first & (FIN | CONTROL) == FIN
    return is_last and position == len(received)


def _read_message(connection: Connection) -> bytes:
    payload, compressed, over = b"", False, False
    while not over:
        first, length = connection.read(2)
        if length >= 126:
            length = int.from_bytes(connection.read(2 if length == 126 else 8))
        piece = connection.read(length)
        if not first & CONTROL:
            payload += piece
            compressed = compressed or bool(first & COMPRESSED)
            over = bool(first & FIN)
    return zlib.decompressobj(wbits=-15).decompress(payload + SYNC_TAIL) if compressed else payload
