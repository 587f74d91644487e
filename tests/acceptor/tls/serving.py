"""A reactor that serves TLS, with a store of certificates that a test fills."""

import asyncio
import hashlib
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from ianus.acceptor.tls.openssl import find_openssl
from ianus.acceptor.tls.options import TlsOptions
from ianus.acceptor.tls.pair import LoadedPair
from ianus.acceptor.tls.python import find_python
from tests.acceptor.serving import Serving
from tests.acceptor.tls.client import TlsClient
from tests.certificates import Certificate, localhost

SECRET = bytes(range(32))

MakeDefault = Callable[[], ssl.SSLContext]


class Store:
    """Pairs by name, and those for all other names. challenges: those by which an authority validates a name."""

    def __init__(self, *default: LoadedPair, **named: LoadedPair) -> None:
        self.default = default
        self.named: Mapping[str, LoadedPair] = named
        self.asked: list[str | None] = []
        self.refreshes = 0
        self.is_due = True  # the files are looked at
        self.challenges: dict[str | None, LoadedPair] = {}

    def find_challenge(self, server_name: str | None) -> LoadedPair | None:
        return self.challenges.get(server_name)

    def refresh(self, now: float) -> bool:
        assert now > 0
        self.refreshes += 1
        return self.is_due

    def select(self, server_name: str | None) -> tuple[LoadedPair, ...]:
        self.asked.append(server_name)
        pair = self.named.get(server_name or "")
        return self.default if pair is None else (pair,)


def load(engine: Any, certificate: Certificate) -> LoadedPair:
    pair: LoadedPair = engine.load_pair(certificate.chain_pem, certificate.key_pem(), None)
    return pair


class UserEngine:
    """The engine with a function of the user."""

    def __init__(self, make_context: Callable[[MakeDefault], ssl.SSLContext]) -> None:
        self.engine = find_python()
        self.make_context = make_context

    def load_pair(self, *args: Any) -> Any:
        return self.engine.load_pair(*args)

    def create_factory(self, store: Any, options: Any) -> Any:
        return self.engine.create_factory(store, options, self.make_context)


class TlsServing(Serving):
    """Serves `app` over TLS. options: of TlsOptions."""

    def __init__(self, engine: Any = None, store: Store | None = None, **options: Any) -> None:
        super().__init__(asgi_sendfile=True)
        self.engine = engine or find_openssl()
        self.store = store or Store(load(self.engine, localhost()))
        self.factory = self.engine.create_factory(self.store, TlsOptions(**{"ticket_secret": SECRET} | options))
        self.state["requests"] = []
        self.sockets: list[socket.socket] = []  # of clients
        self.state["may_read"] = asyncio.Event()
        self.reactor.listen(self.listener, self.sessions(app), self.factory)

    def connect(self) -> socket.socket:
        self.sockets.append(super().connect())
        return self.sockets[-1]

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()
        super().close()

    def client(self, *args: Any, **options: Any) -> TlsClient:
        """Returns a client whose handshake is complete."""
        return TlsClient(self, *args, **options).handshake()

    def failed(self) -> dict[str, int]:
        """Returns the failures once no handshake is under way."""
        self.until(lambda: self.factory.handshakes == 0 and self.factory.failures)
        return dict(self.factory.failures)


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    path, headers = scope["path"], []
    scope["state"]["requests"].append(path)
    body = b""
    if path.startswith("/size/"):
        body = b"x" * int(path.removeprefix("/size/"))
    elif path == "/upload":
        await scope["state"]["may_read"].wait()
        digest, size, more = hashlib.sha256(), 0, True
        while more:
            message = await receive()
            digest.update(message.get("body", b""))
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        body = f"{message['type']} {size} {digest.hexdigest()}".encode()
    elif path == "/file":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": __file__})
        return
    elif path == "/pieces":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(1, 40):
            await send({"type": "http.response.body", "body": bytes([number]) * number * 997, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    else:
        body = path.encode()
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
