"""Notifies systemd of the server's state, for Type=notify and Type=notify-reload: sd_notify(3)."""

import os
import struct

from ianus.telemetry.logger import logger

# Maximum time for a notification. The queue of the socket is short, and full if its owner does not read.
NOTIFY_SECONDS = 1.0

# Digits of a 64-bit number.
MAX_DIGITS = 20


def notify(state: str, *fds: int) -> None:
    """Sends lines such as "READY=1" to the socket in NOTIFY_SOCKET, if it is set.

    state: one or several assignments, a line each. fds: descriptors that systemd is to keep.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    import socket  # Late: a server without it pays for nothing.

    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(fds)}i", *fds))] if fds else []
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(NOTIFY_SECONDS)
            # An @ stands for the zero byte of an abstract name.
            sock.sendmsg([state.encode()], rights, 0, f"\0{address[1:]}" if address.startswith("@") else address)
    except OSError as error:
        # Without READY=1 systemd stops the service after a while; the log has to have why.
        logger.warning("cannot notify systemd of %s: %s (NOTIFY_SOCKET is %s)", state, error.strerror or error, address)


def parse_number(text: str) -> int:
    """Returns the number in a variable of systemd; 0 for any other text."""
    return int(text) if text.isdecimal() and len(text) <= MAX_DIGITS else 0


def format_extension(seconds: float) -> str:
    """Returns the line by which systemd waits for a start or a stop that takes longer than its own limit."""
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}" if seconds > 0 else ""


class Watchdog:
    """Sends WATCHDOG=1 twice in the time of WatchdogSec=, after which systemd restarts the service (sd_notify(3)).

    interval: the seconds between two notifications; 0.0 if systemd expects none.
    """

    def __init__(self) -> None:
        microseconds, pid = (os.environ.get(name, "") for name in ("WATCHDOG_USEC", "WATCHDOG_PID"))
        is_ours = not pid or pid == str(os.getpid())
        self.interval = parse_number(microseconds) / 2e6 if is_ours else 0.0
        self._next_at = 0.0

    def step(self, now: float, is_alive: bool) -> None:
        """Sends a notification that is due. is_alive: the workers make progress."""
        if self.interval and now >= self._next_at:
            self._next_at = now + self.interval
            if is_alive:
                notify("WATCHDOG=1")

    def due(self) -> float:
        """Returns the time of the next notification; 0.0 for never."""
        return self._next_at if self.interval else 0.0
