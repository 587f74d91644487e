"""The servers that are compared, each with the command line that serves it best.

One worker, but for the scenario that is about several; uvloop and a compiled HTTP parser if the server has them;
idle connections kept for longer than any scenario lasts (their own defaults reach from 2 s to for ever); limits on
connections above those that a scenario opens; the access log off, but for the scenario that is about it. No other
feature is switched off, and none that its makers call experimental is switched on; compression of WebSockets is on if
there is one. uvicorn's messages go through websockets, which takes half the CPU time of wsproto.

Threads: a WSGI application that does not wait is served best by few of them, one that does by as many as there are
requests at once. Peers therefore get another number for either; Ianus has to do with its defaults. The few are the
number with the lowest CPU time of 1, 2, 4, 8, 10 and 16, and for waitress and cheroot their own defaults.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

BENCH = Path(__file__).resolve().parent
REPOSITORY = BENCH.parent
# Apart for each interpreter, and so for each system that `tools/sid` runs on the same checkout. Ianus is built for the
# interpreter of this process.
INTERPRETER = str(sys.implementation.cache_tag)
VENV = BENCH / ".venv" / INTERPRETER
PROGRAMS = BENCH / "build" / INTERPRETER
FLOOR = PROGRAMS / "floor"

BLOCKING_THREADS = 64  # the ceiling that Ianus has by default, and as many as a scenario has requests at once

Interface = Literal["asgi", "wsgi"]
Log = Literal["off", "text", "json"]  # the access log


@dataclass(frozen=True)
class Service:
    """The application and the options that a server is started with.

    ``app`` is ``module:attribute``, ``mount`` a second one as ``/prefix=module:attribute``. ``blocking`` means that
    requests wait for something else than the CPU, or take long.
    """

    app: str
    interface: Interface = "asgi"
    log: Log = "off"
    blocking: bool = False
    workers: int = 1  # processes
    mount: str = ""
    ping_interval: int = 0  # seconds between the pings on each WebSocket; 0 for the server's default
    http2: bool = False  # beside HTTP/1.1
    tls: bool = False  # with cert.pem and key.pem of the current folder


@dataclass(frozen=True)
class Server:
    """One row of a table.

    ``command`` is a template of ``{app}``, ``{port}``, ``{threads}`` and ``{workers}``; its first word is a path or the
    name of a command in VENV. ``logs`` has the arguments for each kind of access log that the server has,
    ``mount`` those for a second application, ``pings`` those for ``{ping_interval}``, ``workers`` those for
    several if the command does not show their number, ``tls`` those for TLS with HTTP/1.1 alone, and ``http2`` those
    for HTTP/2, without TLS and with it; either is None if the server does not have it.
    """

    name: str
    command: str
    threads: int = 1  # for applications that do not wait
    logs: Mapping[Log, str] = field(default_factory=dict)
    mount: str = ""
    pings: str = ""
    workers: str = ""
    tls: str | None = None
    http2: tuple[str, str] | None = None
    fixed_answer: bool = False
    packages: tuple[Path, ...] = ()  # folders that its interpreter finds modules in besides its own and bench/

    def executable(self) -> str | None:
        """The program's path, or None when it is not there."""
        return shutil.which(shlex.split(self.command)[0], path=str(VENV / "bin"))

    def missing(self, service: Service) -> str:
        """Returns the feature of the service that the server does not have; empty if it has all."""
        if service.http2 and self.http2 is None:
            return "HTTP/2"
        return "TLS" if service.tls and not service.http2 and self.tls is None else ""

    def command_line(self, service: Service, port: int) -> list[str]:
        """The arguments to start it with; FileNotFoundError when it is not installed."""
        program = self.executable()
        if program is None:
            raise FileNotFoundError(f"{shlex.split(self.command)[0]}: not installed")
        options = [
            self.logs.get(service.log, ""),
            self.mount if service.mount else "",
            self.pings if service.ping_interval else "",
            self.workers if service.workers > 1 else "",
            self.http2[service.tls] if service.http2 and self.http2 else "",
            self.tls if service.tls and not service.http2 and self.tls else "",
        ]
        threads = BLOCKING_THREADS if service.blocking else self.threads
        text = " ".join([self.command, *options]).format(port=port, **{**vars(service), "threads": threads})
        return [program, *shlex.split(text)[1:]]

    def environment(self) -> dict[str, str]:
        """Returns the environment of the process: small, so that a developer's settings change no result."""
        path = os.pathsep.join(str(folder) for folder in (BENCH, *self.packages))
        return {
            "PATH": f"{VENV / 'bin'}{os.pathsep}{os.defpath}",  # m0serve takes the first python3 as its interpreter
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": path,
        }


CERTIFICATE = "--certfile cert.pem --keyfile key.pem"
PEREGRINE_CERTIFICATE = "--tls-cert cert.pem --tls-key key.pem"
GRANIAN_CERTIFICATE = "--ssl-certificate cert.pem --ssl-keyfile key.pem"
GRANIAN_HTTP2 = ("--http auto", f"--http auto {GRANIAN_CERTIFICATE}")

WITH_JSON: Mapping[Log, str] = {
    "off": "--no-access-log",
    "text": "--access-log",
    "json": "--access-log --log-format json",
}


def ianus(name: str, program: Path) -> Server:
    """A build of Ianus. It finds uvloop and FastAPI in VENV, so that all servers run the same ones."""
    return Server(
        name,
        f"{shlex.quote(str(program.absolute()))} --bind 127.0.0.1:{{port}} {{app}}",
        logs=WITH_JSON,
        mount="--mount {mount}",
        pings="--ws-ping-interval {ping_interval}",
        workers="--workers {workers}",
        tls=f"--no-http2 {CERTIFICATE}",
        http2=("--http2-cleartext", f"--http2 {CERTIFICATE}"),
        packages=tuple(VENV.glob("lib/python*/site-packages")),
    )


# Its answer is that of the floor; no application is called.
NGINX = Server(
    "nginx",
    f"{shlex.quote(sys.executable)} {shlex.quote(str(BENCH / 'launch.py'))} nginx - {{port}}",
    tls="",
    http2=("", ""),
    fixed_answer=True,
)

FLOOR_SERVER = Server("floor", f"{shlex.quote(str(FLOOR))} {{port}}", fixed_answer=True)

LAUNCH = f"python {shlex.quote(str(BENCH / 'launch.py'))}"

ASGI_PEERS = (
    FLOOR_SERVER,
    Server(
        "h2corn",
        "h2corn {app} --bind 127.0.0.1:{port} --workers {workers} --loop uvloop --backlog 4096 --timeout-keep-alive 75",
        logs=WITH_JSON,
        pings="--websocket-ping-interval {ping_interval}",
        tls=CERTIFICATE,
        http2=("", CERTIFICATE),
    ),
    Server(
        "peregrine",
        "peregrine {app} --protocol asgi --host 127.0.0.1 --port {port} --workers {workers} --backlog 4096"
        " --max-connections 16384 --max-body 1000000000 --keep-alive 75000 --ws-compress",
        logs={"text": "--access-log", "json": "--access-log-format json"},
        pings="--ws-ping-interval {ping_interval}000",
        tls=PEREGRINE_CERTIFICATE,
        http2=("", PEREGRINE_CERTIFICATE),
    ),
    Server(
        "granian",
        "granian {app} --interface asgi --host 127.0.0.1 --port {port} --workers {workers} --loop uvloop --http 1"
        " --runtime-mode st --backlog 16384 --backpressure 16384",
        logs={"off": "--no-access-log", "text": "--access-log"},
        tls=GRANIAN_CERTIFICATE,
        http2=GRANIAN_HTTP2,
    ),
    Server("fastpysgi", f"{LAUNCH} fastpysgi-asgi {{app}} {{port}}"),
    Server(
        "uvicorn",
        "uvicorn {app} --port {port} --workers {workers} --loop uvloop --http httptools --timeout-keep-alive 75",
        logs={"off": "--no-access-log", "text": "--access-log"},
        pings="--ws-ping-interval {ping_interval}",
        tls="--ssl-certfile cert.pem --ssl-keyfile key.pem",
    ),
    Server(
        "m0serve",
        "m0serve {app} --protocol asgi --host 127.0.0.1 --port {port} --workers {workers} --blocking-threads 0"
        " --max-body 1g --max-keepalive-requests 0 --idle-timeout 75",
        logs={"text": "--access-log"},
    ),
    Server(
        "saltare",
        "saltare {app} --host 127.0.0.1 --port {port} --workers {workers} --listen-backlog 4096"
        " --max-concurrent-connections 16384 --max-request-body 1000000000 --keep-alive-timeout 75"
        " --max-keepalive-requests 1000000000",
        logs={"text": "--access-log"},
        pings="--ws-keepalive-timeout {ping_interval}",
    ),
    Server(
        "socketify",
        "python -m socketify {app} --interface asgi --host 127.0.0.1 --port {port} --workers {workers}"
        " --ws-per-message-deflate true",
        pings="--ws-idle-timeout 8",  # it pings after half of that, and takes no less
    ),
    Server(
        "gunicorn",
        "gunicorn {app} -k asgi --bind 127.0.0.1:{port} --workers {workers} --asgi-loop uvloop --http-parser fast"
        " --worker-connections 16384 --keep-alive 75 --no-control-socket",
        logs={"text": "--access-logfile -"},
    ),
    Server(
        "hypercorn",
        "hypercorn {app} --bind 127.0.0.1:{port} --workers {workers} --worker-class uvloop --keep-alive 75",
        logs={"text": "--access-logfile -"},
        pings="--websocket-ping-interval {ping_interval}",
        tls=CERTIFICATE,
        http2=("", CERTIFICATE),
    ),
)

WSGI_PEERS = (
    FLOOR_SERVER,
    Server(
        "peregrine",
        "peregrine {app} --protocol wsgi --host 127.0.0.1 --port {port} --wsgi-threads {threads} --backlog 4096"
        " --max-connections 16384 --max-body 1000000000 --keep-alive 75000",
        tls=PEREGRINE_CERTIFICATE,
        http2=("", PEREGRINE_CERTIFICATE),
    ),
    Server("bjoern", f"{LAUNCH} bjoern {{app}} {{port}}"),
    Server("fastpysgi", f"{LAUNCH} fastpysgi-wsgi {{app}} {{port}}"),
    Server(
        "granian",
        "granian {app} --interface wsgi --host 127.0.0.1 --port {port} --workers 1 --http 1"
        " --runtime-mode st --backlog 16384 --backpressure 16384 --blocking-threads {threads} --no-access-log",
        tls=GRANIAN_CERTIFICATE,
        http2=GRANIAN_HTTP2,
    ),
    Server(
        "m0serve",
        "m0serve {app} --protocol wsgi --host 127.0.0.1 --port {port} --blocking-threads {threads} --max-body 1g"
        " --max-keepalive-requests 0 --idle-timeout 75",
        threads=0,  # calls on the thread of the event loop
    ),
    Server(
        # Of its three ways to speak HTTP the only one that keeps connections without a second process before it. A
        # thread then stays with a connection, hence always as many as there are connections.
        "uwsgi",
        "uwsgi --http11-socket 127.0.0.1:{port} --module {app} --threads {threads} --listen 1024 --die-on-term"
        " --disable-logging",
        threads=BLOCKING_THREADS,
    ),
    Server(
        # poll(): select() cannot watch the number of connections of the scenarios.
        "waitress",
        "waitress-serve --listen 127.0.0.1:{port} --threads {threads} --connection-limit 16384 --channel-timeout 75"
        " --asyncore-use-poll {app}",
        threads=4,
    ),
    Server("cheroot", f"{LAUNCH} cheroot {{app}} {{port}} {{threads}}", threads=10),
    Server(
        # Closes each connection after its answer.
        "gunicorn-sync",
        "gunicorn {app} -k sync --bind 127.0.0.1:{port} --workers 1 --http-parser fast --no-control-socket",
    ),
    Server(
        "gunicorn-gthread",
        "gunicorn {app} -k gthread --threads {threads} --bind 127.0.0.1:{port} --workers 1 --http-parser fast"
        " --worker-connections 16384 --keep-alive 75 --no-control-socket",
        threads=4,
    ),
)

PEERS: Mapping[Interface, tuple[Server, ...]] = {"asgi": ASGI_PEERS, "wsgi": WSGI_PEERS}
