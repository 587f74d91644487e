"""Starts a server in ways that its own command does not have: ``launch.py SERVER MODULE:ATTR PORT [THREADS]``."""

import os
import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 75;
    default_type text/plain;
    ssl_certificate {folder}/cert.pem;
    ssl_certificate_key {folder}/key.pem;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        return 200 "Hello, world!";
    }}
}}
"""


def bjoern(app: Any, port: int, threads: int) -> None:
    """It has no command, and one thread."""
    import_module("bjoern").run(app, HOST, port)


def cheroot(app: Any, port: int, threads: int) -> None:
    """Its command keeps no more than 10 idle connections open."""
    server = import_module("cheroot.wsgi").Server((HOST, port), app, numthreads=threads, timeout=75)
    server.keep_alive_conn_limit = 16384
    server.request_queue_size = 4096
    server.start()


def fastpysgi_asgi(app: Any, port: int, threads: int) -> None:
    """Its command takes no other event loop than asyncio's."""
    server = import_module("fastpysgi").server
    server.loop = import_module("uvloop").new_event_loop()
    _fastpysgi(app, port)


def fastpysgi_wsgi(app: Any, port: int, threads: int) -> None:
    """Its command refuses bodies above 10 MB."""
    import_module("fastpysgi").server.max_content_length = 1 << 30
    _fastpysgi(app, port)


def nginx(app: Any, port: int, threads: int) -> None:
    """One worker with the answer of hello, over TLS: without it, some versions do not have both versions of HTTP."""
    Path("nginx.conf").write_text(NGINX.format(folder=Path.cwd(), port=port))
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")  # of Debian
    if program is None:
        sys.exit("nginx is not installed: apt-get install nginx-light")
    os.execv(program, [program, "-c", f"{Path.cwd()}/nginx.conf", "-e", "stderr"])


def _fastpysgi(app: Any, port: int) -> None:
    fastpysgi = import_module("fastpysgi")
    fastpysgi.server.tcp_nodelay = 1
    fastpysgi.run(app, HOST, port)


SERVERS: dict[str, Callable[[Any, int, int], None]] = {
    "bjoern": bjoern,
    "cheroot": cheroot,
    "fastpysgi-asgi": fastpysgi_asgi,
    "fastpysgi-wsgi": fastpysgi_wsgi,
    "nginx": nginx,
}


def main(server: str, target: str, port: str, threads: str = "1") -> None:
    """Serves until the process is stopped."""
    module, _, attribute = target.partition(":")
    app = getattr(import_module(module), attribute) if attribute else None
    SERVERS[server](app, int(port), int(threads))


if __name__ == "__main__":
    main(*sys.argv[1:])
