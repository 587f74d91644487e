"""The training of an optimised wheel: ``make pgo``.

Serves each kind of request of `instructions.py` with the build that is found first, one that counts its branches. The
counts are written when a server exits, beside the object files. `make dist` compiles the wheel by them.
"""

import contextlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

from instructions import HANDSHAKE, KINDS, SERVER, Kind

ROUNDS = 50  # requests on each connection
TIMEOUT_SECONDS = 60.0


def main() -> int:
    """Serves all kinds of requests, one after the other. Returns the exit code."""
    for name, kind in KINDS.items():
        print(f"training: {name}", flush=True)
        _serve(kind)
    return 0


def _serve(kind: Kind) -> None:
    command = [sys.executable, "-P", "-c", SERVER.replace("SETTINGS", kind.settings), kind.app]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            port = _port(server)
            with contextlib.ExitStack() as stack:
                clients = [
                    stack.enter_context(socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS))
                    for _ in range(kind.connections)
                ]
                if kind.app == "apps:echo_messages":
                    _ask(clients, HANDSHAKE, b"\r\n\r\n")
                for _ in range(ROUNDS):
                    _ask(clients, kind.request, kind.end)
        finally:
            server.send_signal(signal.SIGTERM)
            _, output = server.communicate()
    if server.returncode:
        raise RuntimeError(f"the server failed:\n{output}")


def _port(server: subprocess.Popen[str]) -> int:
    """Returns the port that the banner names."""
    assert server.stderr is not None
    lines = []
    for line in server.stderr:
        lines.append(line)
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    raise RuntimeError(f"the server did not start:\n{''.join(lines)}")


def _ask(clients: Sequence[socket.socket], request: bytes, end: bytes) -> None:
    """Sends a request on each connection, then receives on each until the answer ends with `end`."""
    for client in clients:
        client.sendall(request)
    for client in clients:
        received = b""
        while not received.endswith(end):
            data = client.recv(65536)
            if not data:
                raise RuntimeError(f"the connection was closed after {received!r}")
            received += data


if __name__ == "__main__":
    sys.exit(main())
