"""Clients that send requests all the time, and count each that fails."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Self

CLIENTS = 12


class Load:
    """Clients of the addresses that `choose` returns: some keep connections, others open one for each request.

    failures: a text for each request that was not answered with 200. served: responses by the pid of their worker.
    """

    def __init__(self, choose: Callable[[], tuple[str, int]]) -> None:
        self.failures: list[str] = []
        self.served: Counter[int] = Counter()
        self._choose = choose
        self._stopping = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join()

    async def _run(self) -> None:
        await asyncio.gather(*(self._client(number) for number in range(CLIENTS)))

    async def _client(self, number: int) -> None:
        """Half of the clients keep connections. Requests take 0, 20 or 200 ms."""
        path = f"/?{(0, 0.02, 0.2)[number % 3]}"
        while not self._stopping:
            host, port = self._choose()
            count = 0
            limit = 50 if number % 2 else 1
            try:
                reader, writer = await asyncio.open_connection(host, port)
                try:
                    while count < limit and not self._stopping and await self._request(reader, writer, path):
                        count += 1
                        await asyncio.sleep(0.005)
                finally:
                    writer.close()
            except (OSError, EOFError, ValueError) as error:
                self.failures.append(f"{port}: request {count + 1} of the connection: {error!r}")
                await asyncio.sleep(0.01)

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> bool:
        """Sends a request and reads its response. Returns False if it is the last one of the connection."""
        writer.write(f"GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n".encode())
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)).decode().lower()
        status_line, *fields = head.split("\r\n")
        values = dict(field.split(": ", 1) for field in fields if field)
        body = await reader.readexactly(int(values["content-length"]))
        if status_line.split()[1] == "200":
            self.served[json.loads(body)["pid"]] += 1
        else:
            self.failures.append(status_line)
        return values.get("connection") != "close"
