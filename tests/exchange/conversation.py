"""A session of HTTP/1 with its client, without a socket. The application is the test."""

from typing import Any

from ianus.exchange.gateway import Gateway
from ianus.exchange.recording import RecordingConnection, RecordingObserver
from ianus.exchange.recording_exchange import RecordingExchange, RecordingGateway
from tests.engine import service, sessions

GET = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def get(path: str, *fields: bytes, version: str = "1.1") -> bytes:
    """A GET with these field lines."""
    return b"".join(line + b"\r\n" for line in (f"GET {path} HTTP/{version}".encode(), b"host: h", *fields, b""))


def post(size: int | str, *fields: bytes, version: str = "1.1") -> bytes:
    """The head of a POST. size: its content-length."""
    lines = (f"POST / HTTP/{version}".encode(), b"host: h", f"content-length: {size}".encode(), *fields, b"")
    return b"".join(line + b"\r\n" for line in lines)


class Conversation:
    """One connection. Its responses have no date and no server, so that they can be compared.

    runs_later: applications are called after the loop's callbacks, as ASGI's before Python 3.12.
    """

    def __init__(
        self, *, gateway: Gateway | None = None, observed: bool = True, runs_later: bool = False, **values: Any
    ) -> None:
        values = {"date_header": False, "server_header": False, **values}
        how = {
            name: values.pop(name) for name in ("client", "server", "https", "tls", "on_max_requests") if name in values
        }
        self.recording = RecordingGateway(runs_later=runs_later)
        self.observer = RecordingObserver() if observed else None
        self.service = service(
            gateway or self.recording,
            observer=self.observer,
            on_max_requests=how.pop("on_max_requests", None),
            **values,
        )
        self.sessions = sessions(self.service, **values)
        self.connection = RecordingConnection(self.sessions, **how)

    def close(self) -> None:
        """Loses the connection, and releases the exchanges."""
        self.connection.lose()
        self.exchanges.clear()

    @property
    def exchange(self) -> RecordingExchange:
        """The last exchange."""
        return self.recording.exchanges[-1]

    @property
    def exchanges(self) -> list[RecordingExchange]:
        return self.recording.exchanges

    def open(self, data: bytes) -> RecordingExchange:
        """Returns the exchange of a request that the client sends."""
        self.connection.receive(data)
        return self.exchange

    def answer(self, exchange: RecordingExchange | None = None, body: bytes = b"ok", status: int = 200) -> None:
        """Sends a whole response, and runs the callbacks of the loop."""
        exchange = exchange or self.exchange
        exchange.respond(status)
        exchange.send(body)
        exchange.end_call()
        self.connection.resume()

    def receives(self) -> bytes:
        """Returns the bytes that the client has read since the last call."""
        return self.connection.take_output()

    @property
    def ends(self) -> list[tuple[bytes | None, int, int]]:
        """The target, status and size of each request that the observer knows."""
        assert self.observer is not None
        return [(facts["target"], facts["status"], facts["size"]) for facts in self.observer.requests]
