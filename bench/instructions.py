"""Instructions that a request takes: ``python bench/instructions.py``, or ``make instructions``.

Valgrind's callgrind counts the instructions of a server in user mode while it answers a number of requests on as many
keep-alive connections as the scenario `hello64` has. It is stable to about 0.3 % however busy the machine is: the
figure for a change to the hot path, before and after. Neither system calls nor cache misses count; `run.py` measures
those as CPU time.

With `--modules` each compiled module of Ianus has a line: the instructions of its own code, without those of the
functions that it calls in Python or libc. The header of a module has this figure after "Compiled because".

With `--check` the counts of the kinds in CHECKED are compared with those in `instructions.tsv`: ``make bench-check``.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from callgrind import (
    CountError,
    Dialogue,
    count_dialogue,
    counted_environment,
    ends_with,
    slow_clock,
    valgrind_command,
)
from certificate import make_certificate
from kept_counts import KeptCounts

BENCH = Path(__file__).resolve().parent
KEPT = BENCH / "instructions.tsv"
CONNECTIONS = 64
REQUESTS = 64 * 40  # that are counted, on all connections together

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
PROXIED = REQUEST.replace(b"Accept", b"X-Forwarded-For: 203.0.113.7, 127.0.0.1\r\nX-Forwarded-Proto: https\r\nAccept")
BROWSER = REQUEST.replace(
    b"Accept: */*\r\n",
    b"Connection: keep-alive\r\nCache-Control: max-age=0\r\nDNT: 1\r\nUpgrade-Insecure-Requests: 1\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nSec-Fetch-Site: same-origin\r\n"
    b"Sec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n"
    b"Referer: http://localhost/account/orders?page=2&sort=date\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\nCookie: session=0f8c4d1e2b7a49d3a6c5e9f10b2d3c4e; theme=dark\r\n"
    b'If-None-Match: W/"1f4-18c2a3b4d5e"\r\nPriority: u=0, i\r\n',
)
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
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024
FIRST, REST = b"\x01\xa0" + bytes(4) + "ü".encode() * 16, b"\x80\xa0" + bytes(4) + "ü".encode() * 16
PIECES_ECHO = b"\x81\x40" + "ü".encode() * 32


class Kind(NamedTuple):
    """A kind of request. app: serves it. end: the last bytes of the response. settings: of the server."""

    app: str
    request: bytes
    end: bytes
    settings: str = "access_log=False"
    connections: int = CONNECTIONS


TLS_SETTINGS = "access_log=False, ssl_certfile=['cert.pem'], ssl_keyfile=['key.pem']"

KINDS = {
    "asgi": Kind("apps:hello", REQUEST, b"Hello, world!"),
    # With a certificate that openssl makes. OpenSSL's instructions are those of its machine, so it is not in CHECKED.
    "tls": Kind("apps:hello", REQUEST, b"Hello, world!", TLS_SETTINGS),
    "wsgitls": Kind("wsgi_apps:hello", REQUEST, b"Hello, world!", TLS_SETTINGS),
    "one": Kind("apps:hello", REQUEST, b"Hello, world!", connections=1),  # connection
    "wsgi": Kind("wsgi_apps:hello", REQUEST, b"Hello, world!"),
    "websocket": Kind("apps:echo_messages", MESSAGE, ECHO),
    "logged": Kind("apps:hello", REQUEST, b"Hello, world!", "access_logfile='/dev/null'"),  # with an access log
    # Its metrics are sent to a port without a server.
    "statsd": Kind("apps:hello", REQUEST, b"Hello, world!", "access_log=False, statsd_host='127.0.0.1:9'"),
    "mounted": Kind("apps:hello", REQUEST, b"Hello, world!", "access_log=False, mount=['/other=apps:echo']"),
    "proxied": Kind("apps:hello", PROXIED, b"Hello, world!"),  # with the fields of two proxies
    "headers": Kind("apps:hello", BROWSER, b"Hello, world!"),  # as a browser sends them
    "upload": Kind("apps:echo", UPLOAD, b"x" * 1024),  # a body of 1 KiB in 16 chunks
    "wsgiupload": Kind("wsgi_apps:upload", POST, b"\r\n\r\n1024"),  # a body of 1 KiB
    "pieces": Kind("apps:echo_messages", FIRST + REST, PIECES_ECHO),  # a text message in two frames, not ASCII
    "fastapi": Kind("fastapi_app:app", REQUEST.replace(b" / ", b" /items/42?currency=USD "), b'"small","USD"]}'),
    "flask": Kind("flask_app:app", REQUEST.replace(b" / ", b" /greetings/Ada "), b"Hello, Ada!"),
}
DEFAULT_KINDS = ("asgi", "wsgi", "websocket")
CHECKED = ("asgi", "one", "headers", "logged", "upload", "websocket", "wsgi", "wsgiupload")

SERVER = """
import gc, importlib, sys
import ianus
# A rare collection of all objects, which takes millions of instructions, is in no count.
gc.set_threshold(*gc.get_threshold()[:2], 1_000_000)
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
    parser.add_argument("--check", action="store_true", help=f"compare with the counts in {KEPT.name}")
    parser.add_argument("--renew", action="store_true", help=f"write the counts to {KEPT.name}")
    options = parser.parse_args(arguments)
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if shutil.which("valgrind") is None:
        print("valgrind is not installed: apt-get install valgrind", file=sys.stderr)
        return 1
    is_kept = options.check or options.renew
    names = options.kinds or (CHECKED if is_kept else DEFAULT_KINDS)
    totals = _count_all(names, options)
    if not is_kept:
        return 0
    kept = KeptCounts.read(KEPT, _build(options.python))
    if options.renew:
        kept.renew(totals)
        return 0
    if exceeded := kept.exceeded(totals):
        # Rarely a server finds its requests in other batches: only a count that is too high twice is a failure.
        print("counting again")
        totals |= {name: min(total, totals[name]) for name, total in _count_all(exceeded, options).items()}
    failures, notes = kept.compare(totals)
    for line in (*notes, *failures):
        print(line, file=sys.stderr)
    return 1 if failures else 0


def _count_all(names: Sequence[str], options: argparse.Namespace) -> dict[str, float]:
    """Prints the counts of these kinds, and returns their totals."""
    totals = {}
    with ThreadPoolExecutor(max_workers=2) as pool:
        counted = pool.map(lambda name: count(options.python, options.tree, KINDS[name]), names)
        for name, by_module in zip(names, counted, strict=True):
            totals[name] = sum(by_module.values())
            _print_counts(name, by_module, options.modules)
    return totals


def _print_counts(name: str, by_module: Mapping[str, float], has_modules: bool) -> None:
    print(f"{name}: {sum(by_module.values()):,.0f} instructions a request", flush=True)
    if has_modules:
        modules = {module.partition(".")[0]: count for module, count in by_module.items() if module.endswith(".so")}
        for module, instructions in sorted(modules.items(), key=lambda each: -each[1]):
            if instructions >= 1:
                print(f"  {module}: {instructions:,.0f}")


def _build(python: str) -> str:
    """Returns the version of the interpreter and all else that changes the counts of the same code."""
    code = (
        "import platform, sysconfig; shared = ' shared' * bool(sysconfig.get_config_var('Py_ENABLE_SHARED'));"
        " print(f'{platform.python_version()}{shared} {platform.python_compiler()}')"
    )
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def count(python: str, tree: Path, kind: Kind) -> dict[str, float]:
    """Returns the instructions of a request, by module."""
    environment = {
        "PATH": os.defpath,
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "PYTHONPATH": f"{tree}{os.pathsep}{BENCH}",
        **counted_environment(),
    }
    handshake = HANDSHAKE if kind.app == "apps:echo_messages" else b""
    rounds = REQUESTS // kind.connections
    uses_tls = kind.settings == TLS_SETTINGS
    dialogue = Dialogue(kind.request, ends_with(kind.end), kind.connections, rounds, handshake, uses_tls)
    with tempfile.TemporaryDirectory() as folder:
        if uses_tls:
            make_certificate(Path(folder))
        command = [python, "-P", "-c", SERVER.replace("SETTINGS", kind.settings), kind.app]
        with subprocess.Popen(
            valgrind_command(command, Path(folder)),
            stderr=subprocess.PIPE,
            text=True,
            env=environment | slow_clock(Path(folder)),
            cwd=folder,
        ) as process:
            try:
                counts = count_dialogue(
                    dialogue, _port(process), [process.pid], Path(folder), f"{tree.resolve()}/ianus/"
                )
            finally:
                process.kill()
    return {module: count / rounds / kind.connections for module, count in counts.items()}


def _port(process: subprocess.Popen[str]) -> int:
    """The port that the banner names."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if found := re.search(r"https?://127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    raise CountError(f"the server did not start:\n{''.join(lines)}")


if __name__ == "__main__":
    sys.exit(main())
