"""Instructions that a request takes: ``python bench/instructions.py``, or ``make instructions``.

Valgrind's callgrind counts the instructions of a server in user mode, once for a short run and once for a long one,
each with as many keep-alive connections as the scenario `hello64` has. The difference, divided by the requests between
them, is free of the start and the stop. It is stable to about 1 % however busy the machine is: the figure for a change
to the hot path, before and after. Neither system calls nor cache misses count; `run.py` measures those as CPU time.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

BENCH = Path(__file__).resolve().parent
CONNECTIONS = 64
SHORT, LONG = 20, 80  # requests on each connection
TIMEOUT_SECONDS = 120.0  # seconds that a server under valgrind gets for its start and for each answer

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MESSAGE = b"\x81\xfe\x00\x80" + bytes(4) + b"x" * 128  # a text message of 128 bytes, masked with zeros
ECHO = b"\x81\x7e\x00\x80" + b"x" * 128

# kind: the application, the bytes of one request, and the last bytes of its response
KINDS = {
    "asgi": ("apps:hello", REQUEST, b"Hello, world!"),
    "wsgi": ("wsgi_apps:hello", REQUEST, b"Hello, world!"),
    "websocket": ("apps:echo_messages", MESSAGE, ECHO),
}

SERVER = """
import importlib, sys
import ianus
module, _, name = sys.argv[1].partition(":")
app = getattr(importlib.import_module(module), name)
ianus.run(app, bind="127.0.0.1:0", access_log=False)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a line for each kind of request. The exit code."""
    parser = argparse.ArgumentParser(description="Counts the instructions that a request takes, with callgrind.")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)}; default: all of them")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that Ianus is built for")
    parser.add_argument("--tree", type=Path, default=BENCH.parent, help="the checkout whose release build is measured")
    options = parser.parse_args(arguments)
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: apt-get install valgrind", file=sys.stderr)
        return 1
    for kind in options.kinds or KINDS:
        short, long = (_count(options.python, options.tree, kind, requests) for requests in (SHORT, LONG))
        print(f"{kind}: {(long - short) / (LONG - SHORT) / CONNECTIONS:,.0f} instructions a request", flush=True)
    return 0


def _count(python: str, tree: Path, kind: str, requests: int) -> int:
    """The instructions of a server that answers `requests` requests on each connection."""
    app, request, end = KINDS[kind]
    # The same hashes in each run, or dictionaries differ.
    environment = {**os.environ, "PYTHONPATH": f"{tree}{os.pathsep}{BENCH}", "PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory() as folder:
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        command = [*valgrind, python, "-P", "-c", SERVER, app]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder) as process:
            assert process.stderr is not None
            try:
                port = _port(process)
                with contextlib.ExitStack() as stack:
                    clients = [
                        stack.enter_context(socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS))
                        for _ in range(CONNECTIONS)
                    ]
                    if kind == "websocket":
                        _ask(clients, HANDSHAKE, b"\r\n\r\n")
                    for _ in range(requests):
                        _ask(clients, request, end)
            finally:
                process.send_signal(signal.SIGTERM)
                output = process.stderr.read()
    found = re.search(r"Collected : (\d+)", output)
    if found is None:
        raise RuntimeError(f"callgrind has no count:\n{output}")
    return int(found[1])


def _port(process: subprocess.Popen[str]) -> int:
    """The port that the banner names."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
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
