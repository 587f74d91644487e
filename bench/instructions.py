"""Instructions that a request takes: ``python bench/instructions.py``, or ``make instructions``.

Valgrind's callgrind counts the instructions of a server in user mode, once for a short run and once for a long one,
each with as many keep-alive connections as the scenario `hello64` has. The difference, divided by the requests between
them, is free of the start and the stop. It is stable to about 1 % however busy the machine is: the figure for a change
to the hot path, before and after. Neither system calls nor cache misses count; `run.py` measures those as CPU time.

With `--modules` each compiled module of Ianus has a line: the instructions of its own code, without those of the
functions that it calls in Python or libc. The header of a module has this figure after "Compiled because".
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
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

BENCH = Path(__file__).resolve().parent
CONNECTIONS = 64
SHORT, LONG = 20, 80  # requests on each connection
TIMEOUT_SECONDS = 120.0  # seconds that a server under valgrind gets for its start and for each answer

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
PROXIED = REQUEST.replace(b"Accept", b"X-Forwarded-For: 203.0.113.7, 127.0.0.1\r\nX-Forwarded-Proto: https\r\nAccept")
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MESSAGE = b"\x81\xfe\x00\x80" + bytes(4) + b"x" * 128  # a text message of 128 bytes, masked with zeros
ECHO = b"\x81\x7e\x00\x80" + b"x" * 128

PIECE = b"40\r\n" + b"x" * 64 + b"\r\n"
UPLOAD = (
    b"POST / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nTransfer-Encoding: chunked\r\n\r\n"
    + PIECE * 16
    + b"0\r\n\r\n"
)
FIRST, REST = b"\x01\xa0" + bytes(4) + "ü".encode() * 16, b"\x80\xa0" + bytes(4) + "ü".encode() * 16
PIECES_ECHO = b"\x81\x40" + "ü".encode() * 32


class Kind(NamedTuple):
    """A kind of request. app: serves it. end: the last bytes of the response. settings: of the server."""

    app: str
    request: bytes
    end: bytes
    settings: str = "access_log=False"


KINDS = {
    "asgi": Kind("apps:hello", REQUEST, b"Hello, world!"),
    "wsgi": Kind("wsgi_apps:hello", REQUEST, b"Hello, world!"),
    "websocket": Kind("apps:echo_messages", MESSAGE, ECHO),
    "logged": Kind("apps:hello", REQUEST, b"Hello, world!", "access_logfile='/dev/null'"),  # with an access log
    "mounted": Kind("apps:hello", REQUEST, b"Hello, world!", "access_log=False, mount=['/other=apps:echo']"),
    "proxied": Kind("apps:hello", PROXIED, b"Hello, world!"),  # with the fields of two proxies
    "upload": Kind("apps:echo", UPLOAD, b"x" * 1024),  # a body of 1 KiB in 16 chunks
    "pieces": Kind("apps:echo_messages", FIRST + REST, PIECES_ECHO),  # a text message in two frames, not ASCII
}
DEFAULT_KINDS = ("asgi", "wsgi", "websocket")

SERVER = """
import importlib, sys
import ianus
module, _, name = sys.argv[1].partition(":")
app = getattr(importlib.import_module(module), name)
ianus.run(app, bind="127.0.0.1:0", SETTINGS)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a line for each kind of request, and for each module. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Counts the instructions that a request takes, with callgrind.")
    parser.add_argument(
        "kinds", nargs="*", metavar="KIND", help=f"{', '.join(KINDS)}; default: {', '.join(DEFAULT_KINDS)}"
    )
    parser.add_argument("--modules", action="store_true", help="also print the instructions in each compiled module")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that Ianus is built for")
    parser.add_argument("--tree", type=Path, default=BENCH.parent, help="the checkout whose release build is measured")
    options = parser.parse_args(arguments)
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: apt-get install valgrind", file=sys.stderr)
        return 1
    for kind in options.kinds or DEFAULT_KINDS:
        short, long = (_count(options.python, options.tree, KINDS[kind], requests) for requests in (SHORT, LONG))
        a_request = {name: (long[name] - short[name]) / (LONG - SHORT) / CONNECTIONS for name in long | short}
        print(f"{kind}: {sum(a_request.values()):,.0f} instructions a request", flush=True)
        if options.modules:
            modules = {name.partition(".")[0]: count for name, count in a_request.items() if name.endswith(".so")}
            for name, count in sorted(modules.items(), key=lambda each: -each[1]):
                if count >= 1:
                    print(f"  {name}: {count:,.0f}")
    return 0


def _count(python: str, tree: Path, kind: Kind, requests: int) -> Counter[str]:
    """Returns the instructions of a server that answers `requests` requests on each connection, by module."""
    # The same hashes in each run, or dictionaries differ.
    environment = {**os.environ, "PYTHONPATH": f"{tree}{os.pathsep}{BENCH}", "PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory() as folder:
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out"]
        command = [*valgrind, python, "-P", "-c", SERVER.replace("SETTINGS", kind.settings), kind.app]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder) as process:
            assert process.stderr is not None
            try:
                port = _port(process)
                with contextlib.ExitStack() as stack:
                    clients = [
                        stack.enter_context(socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS))
                        for _ in range(CONNECTIONS)
                    ]
                    if kind.app == "apps:echo_messages":
                        _ask(clients, HANDSHAKE, b"\r\n\r\n")
                    for _ in range(requests):
                        _ask(clients, kind.request, kind.end)
            finally:
                process.send_signal(signal.SIGTERM)
                output = process.stderr.read()
        if not (Path(folder) / "out").exists():
            raise RuntimeError(f"callgrind has no count:\n{output}")
        with (Path(folder) / "out").open() as profile:
            return instructions_by_module(profile, f"{tree.resolve()}/ianus/")


def instructions_by_module(profile: Iterable[str], package: str) -> Counter[str]:
    """Returns the instructions of each compiled module, by its path in the package, and "others" for the rest.

    profile: the lines of a callgrind output file. Its "ob=" lines name the object file of the lines that follow, in
    full or as a number that an earlier line has defined. The line after a "calls=" line has the instructions of the
    called function, which are listed elsewhere.
    """
    counts: Counter[str] = Counter()
    names: dict[str, str] = {}
    module, is_call = "others", False
    for line in profile:
        key, _, value = line.rstrip("\n").partition("=")
        if key in ("ob", "cob"):
            number, _, path = value.partition(" ")
            if path:
                names[number] = path.removeprefix(package) if path.startswith(package) else "others"
            if key == "ob":
                module = names[number]
        elif key == "calls":
            is_call = True
        elif line[0].isdigit() or line[0] in "+-*":  # a position, and the instructions unless there are none
            position_and_count = line.split()
            if not is_call and len(position_and_count) > 1:
                counts[module] += int(position_and_count[1])
            is_call = False
    return counts


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
