"""A client of HTTP/2 on a socket, by the library h2: each event of a stream is visible to the test."""

import socket
import ssl
from collections import defaultdict
from types import TracebackType
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings

from tests.certificates import root
from tests.helpers import WAIT_SECONDS, Address, TlsAddress


class Http2Client:
    """One connection, by prior knowledge or after a handshake of TLS.

    events: of each stream, and of stream 0 those of the connection. credits: it gives credit for received bytes.
    """

    def __init__(self, address: Address, *, context: ssl.SSLContext | None = None, window: int | None = None) -> None:
        """window: the initial one of streams, in bytes; None for the default of the protocol."""
        sock = socket.create_connection(address, timeout=WAIT_SECONDS)  # type: ignore[arg-type]
        if context is None and isinstance(address, TlsAddress):
            context = ssl.create_default_context(cadata=root().pem.decode())
        if context is not None:
            context.set_alpn_protocols(["h2"])
            sock = context.wrap_socket(sock, server_hostname="localhost")
            assert sock.selected_alpn_protocol() == "h2"
        self.sock = sock
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        if window is not None:
            self.connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.credits = window is None
        self.events: dict[int, list[Any]] = defaultdict(list)
        self.is_ended = False
        self.unread = b""
        self.flush()

    def __enter__(self) -> "Http2Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.sock.close()

    def flush(self) -> None:
        """Sends the bytes that the library has made."""
        self.sock.sendall(self.connection.data_to_send())

    def open(
        self, path: str, *fields: tuple[bytes, bytes], method: str = "GET", body: bytes | None = None, ends: bool = True
    ) -> int:
        """Starts a request, and returns the number of its stream."""
        stream = self.connection.get_next_available_stream_id()
        head = [(b":method", method.encode()), (b":scheme", b"http"), (b":authority", b"localhost"),
                (b":path", path.encode())]  # fmt: skip
        self.connection.send_headers(stream, [*head, *fields], end_stream=ends and body is None)
        if body is not None:
            self.send(stream, body, ends=ends)
        self.flush()
        return stream

    def connect(
        self,
        path: str,
        *fields: tuple[bytes, bytes],
        protocol: bytes = b"websocket",
        authority: bytes = b"localhost",
    ) -> int:
        """Asks for a tunnel (RFC 8441 section 4), and returns the number of its stream."""
        stream = self.connection.get_next_available_stream_id()
        head = [(b":method", b"CONNECT"), (b":protocol", protocol), (b":scheme", b"http"), (b":path", path.encode()),
                (b":authority", authority), (b"sec-websocket-version", b"13")]  # fmt: skip
        self.connection.send_headers(stream, [*head, *fields])
        self.flush()
        return stream

    def offers_tunnels(self) -> bool:
        """Whether the settings of the server have SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 8441 section 3)."""
        settings = self.wait_for(0, h2.events.RemoteSettingsChanged).changed_settings
        return h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL in settings

    def send(self, stream: int, body: bytes, *, ends: bool = True) -> None:
        """Sends a body as fast as the windows of the server admit it."""
        at = 0
        while at < len(body):
            room = min(self.connection.local_flow_control_window(stream), self.connection.max_outbound_frame_size)
            if room <= 0:
                self.flush()
                self.receive()
                continue
            self.connection.send_data(stream, body[at : at + room])
            at += room
        if ends:
            self.connection.end_stream(stream)
        self.flush()

    def receive(self) -> None:
        """Reads once."""
        data = self.sock.recv(65536)
        if not data:
            self.is_ended = True
            return
        self.unread += data
        while len(self.unread) >= 9:
            size = 9 + int.from_bytes(self.unread[:3], "big")
            if len(self.unread) < size:
                break
            frame, self.unread = self.unread[:size], self.unread[size:]
            for event in self.connection.receive_data(frame):
                self.note(event)
        self.flush()

    def note(self, event: Any) -> None:
        self.events[getattr(event, "stream_id", None) or 0].append(event)
        if isinstance(event, h2.events.DataReceived) and self.credits and event.flow_controlled_length:
            self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.ConnectionTerminated):
            # The library takes the connection for closed. RFC 9113 section 6.8: its streams continue.
            self.connection.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN

    def wait_for(self, stream: int, *kinds: type) -> Any:
        """Returns the first event of these kinds, and reads until there is one."""
        while True:
            for event in self.events[stream]:
                if isinstance(event, kinds):
                    return event
            assert not self.is_ended, f"the server has closed the connection; events: {dict(self.events)}"
            self.receive()

    def status(self, stream: int) -> int:
        """Returns the status of the final response, whose head is waited for."""
        event = self.wait_for(stream, h2.events.ResponseReceived)
        return int(dict(event.headers)[b":status"])

    def fields(self, stream: int) -> dict[bytes, bytes]:
        """Returns the fields of the response."""
        return dict(self.wait_for(stream, h2.events.ResponseReceived).headers)

    def body(self, stream: int) -> bytes:
        """Returns the whole body of the response, whose end is waited for."""
        self.wait_for(stream, h2.events.StreamEnded)
        return b"".join(each.data for each in self.events[stream] if isinstance(each, h2.events.DataReceived))

    def get(self, path: str, *fields: tuple[bytes, bytes], **how: Any) -> bytes:
        """Returns the body of the response to a request, which has to be successful."""
        stream = self.open(path, *fields, **how)
        assert self.status(stream) == 200
        return self.body(stream)

    def ping(self) -> None:
        """Returns after the server has answered a PING, so that it has read everything before that."""
        count = len([each for each in self.events[0] if isinstance(each, h2.events.PingAckReceived)])
        self.connection.ping(b"ianustst")
        self.flush()
        while len([each for each in self.events[0] if isinstance(each, h2.events.PingAckReceived)]) == count:
            assert not self.is_ended
            self.receive()

    def reset(self, stream: int) -> None:
        """Resets a stream."""
        self.connection.reset_stream(stream, 8)
        self.flush()

    def wait_for_end(self) -> None:
        """Reads until the server has closed the connection."""
        while not self.is_ended:
            try:
                self.receive()
            except ConnectionResetError:
                return
