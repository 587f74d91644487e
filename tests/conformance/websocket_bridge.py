"""A bridge from WebSocket clients of HTTP/1.1 to a server's WebSockets over HTTP/2 (RFC 8441), by the library h2.

Each client has a connection of HTTP/2 with one stream. The bytes of frames pass unchanged, and so do the ends: that of
the client's data is END_STREAM, that of the stream closes the client's connection, and RST_STREAM resets it.
"""

import asyncio
import base64
import contextlib
import hashlib
import threading
from collections.abc import Iterator

import h2.config
import h2.connection
import h2.events

from tests.helpers import WAIT_SECONDS

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PIECE = 65536


class Bridge:
    """One client, and its stream."""

    def __init__(self, client: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        self.reader, self.writer = client
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self.connection = h2.connection.H2Connection(config)
        self.has_credit = asyncio.Event()
        self.stream = 0

    async def run(self, host: str, port: int) -> None:
        head = await self.reader.readuntil(b"\r\n\r\n")
        line, *lines = head.rstrip(b"\r\n").split(b"\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (each.partition(b":") for each in lines)}
        self.accept = base64.b64encode(hashlib.sha1(fields[b"sec-websocket-key"] + GUID).digest())
        reader, self.server = await asyncio.open_connection(host, port)
        self.connection.initiate_connection()
        self.stream = self.connection.get_next_available_stream_id()
        request = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"http"),
                   (b":path", line.split(b" ")[1]), (b":authority", fields[b"host"])]  # fmt: skip
        kept = {b"sec-websocket-version", b"sec-websocket-extensions", b"sec-websocket-protocol", b"origin"}
        self.connection.send_headers(self.stream, request + [each for each in fields.items() if each[0] in kept])
        sending = asyncio.create_task(self._send())
        try:
            await self._receive(reader)
        finally:
            sending.cancel()
            self.server.close()
            self.writer.close()

    async def _send(self) -> None:
        """Passes the client's bytes on, as far as the windows of the stream allow."""
        while data := await self.reader.read(PIECE):
            while data:
                while not (size := min(self.connection.local_flow_control_window(self.stream), len(data), 16384)):
                    self.has_credit.clear()
                    self._flush()
                    await self.has_credit.wait()
                self.connection.send_data(self.stream, data[:size])
                data = data[size:]
            self._flush()
            await self.server.drain()
        self.connection.end_stream(self.stream)
        self._flush()

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        self._flush()
        while data := await reader.read(PIECE):
            for event in self.connection.receive_data(data):
                self.has_credit.set()
                match event:
                    case h2.events.ResponseReceived():
                        self._answer(dict(event.headers))
                    case h2.events.DataReceived():
                        self.writer.write(event.data)
                        await self.writer.drain()
                        self.connection.acknowledge_received_data(event.flow_controlled_length, self.stream)
                    case h2.events.StreamEnded():
                        return
                    case h2.events.StreamReset() | h2.events.ConnectionTerminated():
                        self.writer.transport.abort()
                        return
            self._flush()

    def _answer(self, fields: dict[bytes, bytes]) -> None:
        assert fields[b":status"] == b"200", fields
        lines = [b"HTTP/1.1 101 Switching Protocols", b"Connection: Upgrade", b"Upgrade: websocket"]
        lines += [name + b": " + value for name, value in fields.items() if name.startswith(b"sec-websocket-")]
        self.writer.write(b"\r\n".join([*lines, b"Sec-WebSocket-Accept: " + self.accept, b"", b""]))

    def _flush(self) -> None:
        self.server.write(self.connection.data_to_send())


@contextlib.contextmanager
def bridge(address: tuple[str, int]) -> Iterator[tuple[str, int]]:
    """Runs a bridge to the server at `address` in a thread. Yields its own address."""
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await Bridge((reader, writer)).run(*address)

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[:2]
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(WAIT_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
