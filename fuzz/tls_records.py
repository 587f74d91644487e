"""Contract: bytes of a TLS connection that an attacker has changed never reach the application, and nothing is left.

A real client makes a handshake and sends two requests. The input changes its bytes on the way: it starts with the size
of the pieces in which they are sent, then has changes of four bytes each: an Act, a position in two bytes, a value.
The application may get the first requests as they were sent, and nothing else. The server answers them, closes with an
alert, or waits for further bytes, until the client closes.
"""

import contextlib
import enum
import functools
import socket
import ssl
from collections.abc import Iterable
from typing import Any

from fuzz.serving import Served
from ianus.acceptor.tls.openssl import find_openssl
from ianus.acceptor.tls.options import TlsOptions
from ianus.acceptor.tls.pair import LoadedPair
from tests.certificates import issue_self_signed

REQUESTS = (
    b"POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 17000\r\n\r\n" + b"1" * 17000,
    b"GET /two HTTP/1.1\r\nHost: a\r\n\r\n",
)
EXPECTED = [("/one", b"1" * 17000), ("/two", b"")]

# Rounds in which the client and the server exchange bytes
ROUNDS = 40
CHANGE_BYTES = 4


class Act(enum.IntEnum):
    FLIP = 0  # xor the byte with the value
    CUT = 1  # omit that number of bytes
    REPEAT = 2  # send that number of bytes twice
    INSERT = 3  # that number of zeros
    TLS_1_2 = 4  # for the whole connection
    END = 5  # FIN at the position


class Store:
    def __init__(self, pair: LoadedPair) -> None:
        self.pair = pair

    def refresh(self, now: float) -> bool:
        return False

    def select(self, server_name: str | None) -> tuple[LoadedPair, ...]:
        return (self.pair,)


class Attack:
    """Changes the bytes of a client on their way."""

    def __init__(self, data: bytes) -> None:
        self.piece = (data[0] if data else 0) * 16 + 1
        changes = [data[at : at + CHANGE_BYTES] for at in range(1, len(data), CHANGE_BYTES)][:20]
        self.changes = [
            (Act(change[0] % len(Act)), int.from_bytes(change[1:3], "big"), change[3])
            for change in changes
            if len(change) == CHANGE_BYTES
        ]
        self.sent = 0
        self.ends = False

    def has(self, act: Act) -> bool:
        return any(change[0] == act for change in self.changes)

    def apply(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for act, position, value in sorted(self.changes, key=lambda change: -change[1]):
            at = position - self.sent
            if not 0 <= at < len(changed):
                continue
            if act == Act.FLIP:
                changed[at] ^= value
            elif act == Act.CUT:
                del changed[at : at + value]
            elif act == Act.REPEAT:
                changed[at:at] = changed[at : at + value]
            elif act == Act.INSERT:
                changed[at:at] = bytes(value)
            elif act == Act.END:
                del changed[at:]
                self.ends = True
        self.sent += len(data)
        return bytes(changed)


class TlsServed(Served):
    """A server over TLS, which records its requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        engine = find_openssl()
        certificate = issue_self_signed("localhost")
        pair = engine.load_pair(certificate.pem, certificate.key_pem(), None)
        super().__init__(self._app, filters=engine.create_factory(Store(pair), TlsOptions(ticket_secret=bytes(32))))

    async def _app(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.requests.append((scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 20000})

    def turn(self) -> None:
        self._loop.call_soon(self._loop.stop)
        self._loop.run_forever()

    def attack(self, attack: Attack) -> None:
        self.requests.clear()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if attack.has(Act.TLS_1_2):
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing)
        unsent = list(REQUESTS)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self._listener.getsockname())
            client.setblocking(False)
            with contextlib.suppress(ssl.SSLError, ConnectionError, BlockingIOError):
                for _ in range(ROUNDS):
                    if advance(tls, unsent) and not unsent and self.requests == EXPECTED:
                        break
                    data = attack.apply(outgoing.read())
                    for at in range(0, len(data), attack.piece):
                        # A server that does not read any more has given the connection up.
                        client.sendall(data[at : at + attack.piece])
                        self.turn()
                    if attack.ends:
                        client.shutdown(socket.SHUT_WR)
                    self.turn()
                    with contextlib.suppress(BlockingIOError):
                        incoming.write(client.recv(1 << 18))
        self.check_nothing_is_left()
        assert self.requests == EXPECTED[: len(self.requests)]


def advance(tls: ssl.SSLObject, unsent: list[bytes]) -> bool:
    """Takes the client further. Returns whether its handshake is complete."""
    try:
        tls.do_handshake()
        if unsent:
            tls.write(unsent.pop(0))
        while tls.read(1 << 16):
            pass
    except ssl.SSLWantReadError:
        return tls.version() is not None
    return True


@functools.cache
def server() -> TlsServed:
    return TlsServed()


def check(data: bytes) -> None:
    server().attack(Attack(data))


def seeds() -> Iterable[bytes]:
    yield b""
    yield b"\xff"
    yield bytes([1, Act.TLS_1_2, 0, 0, 0])
    for act in (Act.FLIP, Act.CUT, Act.REPEAT, Act.INSERT, Act.END):
        for position in (0, 3, 9, 300, 520, 600, 700, 5000, 17000, 17800):
            yield bytes([255, act, position >> 8, position & 255, 5])
            yield bytes([255, Act.TLS_1_2, 0, 0, 0, act, position >> 8, position & 255, 1])
