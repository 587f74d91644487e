"""Notifies systemd of the server's state, for Type=notify and Type=notify-reload: sd_notify(3)."""

import os

from ianus.telemetry.logger import logger


def notify(state: str) -> None:
    """Sends lines such as "READY=1" to the socket in NOTIFY_SOCKET, if it is set.

    state: one or several assignments, a line each.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    import socket  # Late: a server without it pays for nothing.

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            # An @ stands for the zero byte of an abstract name.
            sock.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
    except OSError as error:
        # Without READY=1 systemd stops the service after a while; the log has to have why.
        logger.warning("cannot notify systemd of %s: %s (NOTIFY_SOCKET is %s)", state, error.strerror or error, address)
