"""Log lines about clients that the server refuses: a connection that it has ended, or a misdirected request.

A refused client often tries again at once, and there may be many, so each address gets a line a minute, and the number
of addresses that are remembered is limited.
"""

from __future__ import annotations

import time

from ianus.telemetry.logger import logger

LOG_SECONDS = 60.0
MAX_ADDRESSES = 1024

Client = tuple[str, int] | None


class LineLimit:
    """Admits a line a minute for each address. All clients without an address share one."""

    def __init__(self) -> None:
        # CLOCK_MONOTONIC seconds of the last line, by address, in the order of these times
        self._logged: dict[str, float] = {}

    def admits(self, client: Client) -> bool:
        """Returns whether a line about the client may be logged now, and takes it for logged."""
        now = time.monotonic()
        address = client[0] if client else ""
        if now - self._logged.get(address, now - LOG_SECONDS) < LOG_SECONDS:
            return False
        self._logged.pop(address, None)
        if len(self._logged) >= MAX_ADDRESSES:
            del self._logged[next(iter(self._logged))]
        self._logged[address] = now
        return True


# Of the whole process: a client is the same at each listener.
_closed = LineLimit()
misdirected = LineLimit()


def log_refusal(client: Client, reason: str) -> None:
    """Logs why a connection was ended, unless its address had such a line in the last minute."""
    if _closed.admits(client):
        name = f"{client[0]}:{client[1]}" if client else "unix socket"
        logger.warning("closed connection: client %s: %s", name, reason)
