"""Log lines about connections that the server has ended because of their clients.

A refused client often connects again at once, and there may be many, so each address gets a line a minute, and the
number of addresses that are remembered is limited.
"""

from __future__ import annotations

import time

from ianus.telemetry.logger import logger

LOG_SECONDS = 60.0
MAX_ADDRESSES = 1024

# CLOCK_MONOTONIC seconds of the last line, by address, in the order of these times. Of the whole process: a client is
# the same at each listener.
_logged: dict[str, float] = {}


def log_refusal(client: tuple[str, int] | None, reason: str) -> None:
    """Logs why a connection was ended, unless its address had a line in the last minute. client: None without one."""
    now = time.monotonic()
    address = client[0] if client else ""
    if now - _logged.get(address, now - LOG_SECONDS) < LOG_SECONDS:
        return
    _logged.pop(address, None)
    if len(_logged) >= MAX_ADDRESSES:
        del _logged[next(iter(_logged))]
    _logged[address] = now
    name = f"{client[0]}:{client[1]}" if client else "unix socket"
    logger.warning("closed connection: client %s: %s", name, reason)
