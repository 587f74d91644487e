"""Requests of the server to its own applications, before it accepts the first connection.

Facts: the first request of an application is slow: modules are imported late, templates compiled, connections to a
database opened. And an orchestrator sends users to a server that is ready. Strategy: the paths of --warmup are
requested over a socket pair, through the same reactor, codec and gateways as a client's. The sessions are those of a
service of their own, without limits and without an access log.
"""

import asyncio
import re
import socket
from time import monotonic

from ianus.errors import StartupError
from ianus.gateway.asgi.suspended import task_stack
from ianus.process.start_reports import FIRST_REPORT_SECONDS, REPORT_FACTOR
from ianus.process.worker.slow_calls import format_calls
from ianus.process.worker.stack import ServingStack, build_uncounted_sessions
from ianus.process.worker.thread_pool import ThreadPoolController
from ianus.settings.schema import Settings
from ianus.telemetry.logger import logger

# Longest status line that is read. The rest of a response is discarded.
MAX_STATUS_LINE_BYTES = 4096


class WarmUp:
    """The requests of --warmup. stack: serves them; it does not listen yet."""

    def __init__(self, stack: ServingStack, thread_pool: ThreadPoolController, settings: Settings) -> None:
        self._stack = stack
        self._thread_pool = thread_pool
        self._settings = settings

    async def run(self) -> None:
        """Makes the requests, one after the other. Raises StartupError if one of them fails."""
        for path in self._settings.warmup:
            started = monotonic()
            limit = self._settings.timeout_lifespan_startup
            report = asyncio.create_task(self._report(path))
            try:
                async with asyncio.timeout(limit or None):
                    status = await self._request(path)
            except TimeoutError:
                raise StartupError(
                    f"The warm-up request GET {path} was not answered within {limit:g} s. Look at that view, or raise "
                    "--timeout-lifespan-startup.",
                    details=self._stacks(),
                ) from None
            finally:
                report.cancel()
            if status >= 500 or not status:
                what = f"was answered with {status}" if status else "got no complete response"
                raise StartupError(
                    f"The warm-up request GET {path} {what}. The application's error precedes this message in the log."
                    " Correct it, or remove the path from --warmup."
                )
            if status >= 400:
                logger.warning(
                    "warm-up request was answered with %d: GET %s (host %s)", status, path, self._settings.warmup_host
                )
            else:
                logger.debug(
                    "warm-up request was answered with %d after %.3f s: %s", status, monotonic() - started, path
                )

    async def _request(self, path: str) -> int:
        """Requests a path. Returns the status, 0 if the response is not complete."""
        loop = asyncio.get_running_loop()
        client, server = socket.socketpair()
        try:
            client.setblocking(False)
            reactor, sessions = self._stack.reactor, build_uncounted_sessions(self._stack.service, self._settings)
            host = self._settings.warmup_host or "localhost"
            self._thread_pool.exclusively(lambda: reactor.accepting.add_connection(reactor, server, sessions))
            shown = f"[{host}]" if ":" in host else host
            head = f"GET {path} HTTP/1.1\r\nHost: {shown}\r\nUser-Agent: ianus-warmup\r\nConnection: close\r\n\r\n"
            await loop.sock_sendall(client, head.encode("ascii"))
            return await _read_response(loop, client)
        finally:
            client.close()
            server.close()

    async def _report(self, path: str) -> None:
        """Logs the line of code of a request that takes long. Code that blocks the loop is reported by the
        supervisor."""
        passed, pause = 0.0, FIRST_REPORT_SECONDS
        while True:
            await asyncio.sleep(pause)
            passed += pause
            pause = passed * (REPORT_FACTOR - 1)
            logger.warning(
                "warm-up request is still running after %.0f s: GET %s; it is here:\n%s", passed, path, self._stacks()
            )

    def _stacks(self) -> str:
        """Formats the stacks of the running calls."""
        stacks = [task_stack(task) for gateway in self._stack.asgi for task in gateway.tasks()]
        if calls := self._thread_pool.calls():
            stacks.append(format_calls(calls))
        return "\n".join(filter(None, stacks)) or "  (in no Python code of the application)"


async def _read_response(loop: asyncio.AbstractEventLoop, client: socket.socket) -> int:
    """Reads a response to its end, and returns its status; 0 if it is not complete."""
    start, size, length = b"", 0, -1
    end = b""
    try:
        while data := await loop.sock_recv(client, 65536):
            size += len(data)
            end = (end + data)[-5:]
            if len(start) < MAX_STATUS_LINE_BYTES:
                start += data
    except ConnectionError:
        return 0
    head, found, _ = start.partition(b"\r\n\r\n")
    line = re.match(rb"HTTP/1\.1 ([0-9]{3}) ", head)
    if line is None or not found:
        return 0
    if declared := re.search(rb"\r\ncontent-length: *([0-9]+)", head, re.IGNORECASE):
        length = len(head) + 4 + int(declared[1])
    is_chunked = re.search(rb"\r\ntransfer-encoding: *chunked", head, re.IGNORECASE)
    is_complete = size >= length and (not is_chunked or end == b"0\r\n\r\n")
    return int(line[1]) if is_complete else 0
