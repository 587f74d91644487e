"""Counts requests that wait for a busy worker while another one is idle: ``python bench/balance.py [CASE ...]``.

Each case starts a server of its own and prints the number of requests that waited, which should be 0, and the longest
wait. A wait is the time from the moment at which the client sends the request to the call of the application, which
notes its start. Both are read from the same clock. So time that the call itself takes is not counted.

A worker that computes shares the processors with the clients and with other workers. Waits below WAIT_SECONDS are
therefore not counted.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

# Above this a request waited; below it the processors were busy.
WAIT_SECONDS = 0.2

APPLICATIONS = '''
import os, time

marker = os.environ["LOAD_MARKER"]
if os.path.exists(marker):
    time.sleep(float(os.environ["LOAD_SECONDS"]))
elif os.environ.get("LOAD_FIRST"):
    open(marker, "w").close()  # The workers after the first one load slowly.

async def blocking(scope, receive, send):
    called = time.monotonic()
    if scope["type"] != "http":
        return
    if scope["path"] == "/block":
        time.sleep(8)
    body = b"%d %.6f" % (os.getpid(), called)
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})

def computing(environ, start_response):
    called = time.monotonic()
    while time.monotonic() < called + 0.5:
        pass
    body = b"%d %.6f" % (os.getpid(), called)
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

def holding(environ, start_response):
    """Computes in C for about half a second and keeps the GIL all the time."""
    called = time.monotonic()
    sum(range(14_000_000))
    body = b"%d %.6f" % (os.getpid(), called)
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
'''


class Client:
    """A connection that may be used for several requests."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sock: socket.socket | None = None

    def ask(self, path: str = "/", *, keep: bool = False) -> tuple[int, float]:
        """Returns the pid of the worker that answered, and the seconds until it called the application."""
        sent = time.monotonic()
        if self.sock is None:
            self.sock = socket.create_connection(("127.0.0.1", self.port), 30)
        close = "" if keep else "Connection: close\r\n"
        self.sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{close}\r\n".encode())
        data = b""
        while True:
            more = self.sock.recv(65536)
            data += more
            head, end, body = data.partition(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
            if end and len(body) >= int(length or b"-1"):
                break
            if not more:
                raise ConnectionError(f"no whole response: {data!r}")
        if not keep:
            self.sock.close()
            self.sock = None
        pid, called = body.split()
        return int(pid), max(float(called) - sent, 0.0)


@contextmanager
def serving(command: list[str], workers: int, **environ: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Starts the server, and waits until it answers."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "balance_apps.py").write_text(APPLICATIONS)
        environ["LOAD_MARKER"] = str(Path(folder, "slow"))
        filled = [part.format(port=port, workers=workers) for part in command]
        process = subprocess.Popen(
            filled, cwd=folder, env={**os.environ, **environ}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            until = time.monotonic() + 30
            while True:
                try:
                    Client(port).ask("/hello")
                    break
                except OSError:
                    if time.monotonic() > until or process.poll() is not None:
                        raise
                    time.sleep(0.02)
            yield port, process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def pids(port: int, workers: int) -> set[int]:
    """Waits until each worker has answered."""
    found: set[int] = set()
    until = time.monotonic() + 30
    while len(found) < workers and time.monotonic() < until:
        found.add(Client(port).ask()[0])
    return found


def new_connections(port: int, count: int, pause: float) -> list[float]:
    """Opens one connection after the other, without waiting for the answers. Returns the waits."""
    with ThreadPoolExecutor(count) as pool:
        asked = []
        for _ in range(count):
            asked.append(pool.submit(lambda: Client(port).ask()[1]))
            time.sleep(pause)
        return [each.result() for each in asked]


def server_command(server: str, kind: str) -> list[str]:
    app = f"balance_apps:{kind}"
    python = sys.executable
    if server == "ianus":
        extra = ["--threads", "1"] if kind != "blocking" else []
        return [python, "-m", "ianus", app, "--bind", "127.0.0.1:{port}", "--workers", "{workers}", *extra]
    if server == "gunicorn":
        extra = ["-k", "uvicorn.workers.UvicornWorker"] if kind == "blocking" else []
        return [python, "-m", "gunicorn", app, "--bind", "127.0.0.1:{port}", "--workers", "{workers}", *extra]
    if server == "uvicorn":
        return [python, "-m", "uvicorn", app, "--port", "{port}", "--workers", "{workers}"]
    if server == "granian":
        interface = "asgi" if kind == "blocking" else "wsgi"
        return [
            python, "-m", "granian", app, "--port", "{port}", "--workers", "{workers}", "--interface", interface,
            *(["--blocking-threads", "1"] if interface == "wsgi" else []),
        ]  # fmt: skip
    raise SystemExit(f"unknown server: {server}")


# --- Cases ---


def blocked(server: str) -> list[float]:
    """2 workers, one of which is blocked for 8 s: 40 new connections."""
    with serving(server_command(server, "blocking"), 2) as (port, _):
        pids(port, 2)
        blocking = threading.Thread(target=lambda: Client(port).ask("/block"))
        blocking.start()
        time.sleep(0.2)
        waits = new_connections(port, 40, 0.05)
        blocking.join()
        return waits


def _loading(server: str, change: Callable[[subprocess.Popen[bytes], set[int]], None], first: int = 3) -> list[float]:
    with serving(server_command(server, "blocking"), first, LOAD_SECONDS="4") as (port, process):
        found = pids(port, first)
        Path(f"/proc/{process.pid}/cwd/slow").touch()
        change(process, found)
        return new_connections(port, 40, 0.05)


def killed(server: str) -> list[float]:
    """3 workers, one is killed, its replacement loads for 4 s: 40 new connections."""
    return _loading(server, lambda process, found: os.kill(min(found), signal.SIGKILL))


def added(server: str) -> list[float]:
    """2 workers, a third one is added by SIGTTIN and loads for 4 s: 40 new connections."""
    return _loading(server, lambda process, found: process.send_signal(signal.SIGTTIN), 2)


def starting(server: str) -> list[float]:
    """3 workers at the start, of which the first serves while the others load for 4 s: 40 new connections."""
    with serving(server_command(server, "blocking"), 3, LOAD_SECONDS="4", LOAD_FIRST="1") as (port, _):
        return new_connections(port, 40, 0.05)


def _computing(server: str, kind: str, *, keep: bool, at_once: int = 4) -> list[float]:
    with serving(server_command(server, kind), 4) as (port, _):
        time.sleep(1.5)  # until all workers have started

        def ask_all() -> list[float]:
            client = Client(port)
            return [client.ask(keep=keep)[1] for _ in range(24 // at_once)]

        with ThreadPoolExecutor(at_once) as pool:
            asked = [pool.submit(ask_all) for _ in range(at_once)]
            return [wait for each in asked for wait in each.result()]


def computing(server: str) -> list[float]:
    """4 workers, --threads 1: 24 requests that compute for 0.5 s, 4 at a time, each on a new connection."""
    return _computing(server, "computing", keep=False)


def computing_keep_alive(server: str) -> list[float]:
    """The same on 4 keep-alive connections."""
    return _computing(server, "computing", keep=True)


def holding(server: str) -> list[float]:
    """The same on new connections, with calls that compute in C and do not release the GIL."""
    return _computing(server, "holding", keep=False)


CASES = {case.__name__: case for case in (blocked, killed, added, starting, computing, computing_keep_alive, holding)}


def main() -> int:
    """Returns the exit code: 1 if a request waited."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="*", choices=[*CASES, []], help="default: all")
    parser.add_argument("--server", default="ianus", help="ianus, gunicorn, uvicorn or granian")
    options = parser.parse_args()
    failed = False
    for name in options.case or CASES:
        waits = CASES[name](options.server)
        waiting = [wait for wait in waits if wait > WAIT_SECONDS]
        failed = failed or bool(waiting)
        print(
            f"{name:22} waited: {len(waiting):2} of {len(waits)}, longest: {max(waits):.3f} s, "
            f"median: {sorted(waits)[len(waits) // 2] * 1000:.1f} ms",
            flush=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
