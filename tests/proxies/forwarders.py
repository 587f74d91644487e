"""HAProxy and nginx as proxies that forward bytes and send PROXY headers; HAProxy and Caddy as proxies of HTTP."""

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.helpers import Address, TlsAddress, accepts, until

PLACES = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"

HAPROXY = """
global
    stats socket {folder}/stats.sock
defaults
    mode {mode}
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend clients
    bind 127.0.0.1:{port}{bind}
    {frontend}
    default_backend servers
backend servers
    {backend}
    server ianus {upstream} {server}
"""

NGINX = """
load_module modules/ngx_stream_module.so;
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
stream {{
    server {{ listen 127.0.0.1:{port}; proxy_pass {upstream}; proxy_protocol on; }}
}}
"""

CADDY = """
{{
    admin off
    auto_https off
    storage file_system {folder}
    servers {{
        protocols {protocols}
    }}
}}
http://:{port} {{
    bind 127.0.0.1
    reverse_proxy {scheme}{upstream} {{
        {options}
    }}
}}
"""


@contextlib.contextmanager
def haproxy(
    upstream: Address, folder: Path, server: str, *, mode: str = "tcp", bind: str = "", frontend: str = "",
    backend: str = "",
) -> Iterator[tuple[str, int]]:  # fmt: skip
    """Runs HAProxy before `upstream`; server, bind, frontend, backend: its options. Yields its address."""
    name = f"unix@{upstream}" if isinstance(upstream, str) else f"{upstream[0]}:{upstream[1]}"
    if isinstance(upstream, TlsAddress):
        server += " ssl verify none"
    port = _free_port()
    file = folder / "haproxy.cfg"
    file.write_text(
        HAPROXY.format(
            folder=folder,
            port=port,
            upstream=name,
            server=server,
            mode=mode,
            bind=bind and f" {bind}",
            frontend=frontend,
            backend=backend,
        )
    )
    with _running([_program("haproxy"), "-db", "-f", str(file)], port):
        # Opened after the TCP sockets.
        until(lambda: accepts(folder / "stats.sock"), "the socket of HAProxy's statistics")
        yield "127.0.0.1", port


def haproxy_state(folder: Path) -> str:
    """Returns the state of the server by HAProxy's health checks, such as "UP", and of its last check."""
    with socket.socket(socket.AF_UNIX) as stats:
        stats.connect(str(folder / "stats.sock"))
        stats.sendall(b"show stat\n")
        text = b"".join(iter(lambda: stats.recv(65536), b"")).decode()
    names, *rows = (line.split(",") for line in text.splitlines() if line)
    values = dict(zip(names, next(row for row in rows if row[1] == "ianus"), strict=True))
    return f"{values['status']} {values['check_status']}"


@contextlib.contextmanager
def nginx_stream(upstream: Address, folder: Path) -> Iterator[tuple[str, int]]:
    """Runs nginx with its stream module before `upstream`. Yields its address."""
    program = _program("nginx")
    if not Path("/usr/lib/nginx/modules/ngx_stream_module.so").exists():
        pytest.skip("the stream module of nginx is not installed")
    name = f"unix:{upstream}" if isinstance(upstream, str) else f"{upstream[0]}:{upstream[1]}"
    port = _free_port()
    file = folder / "nginx.conf"
    file.write_text(NGINX.format(folder=folder, port=port, upstream=name))
    with _running([program, "-p", "/usr/share/nginx", "-e", str(folder / "error.log"), "-c", str(file)], port):
        yield "127.0.0.1", port


@contextlib.contextmanager
def caddy(
    upstream: Address, folder: Path, options: str = "", *, http2: bool = False
) -> Iterator[tuple[str, int]]:  # fmt: skip
    """Runs Caddy before `upstream`, with `options` of its reverse_proxy. Yields its address.

    http2: speak it with clients and with `upstream`, without TLS.
    """
    name = f"unix/{upstream}" if isinstance(upstream, str) else f"{upstream[0]}:{upstream[1]}"
    if isinstance(upstream, TlsAddress):
        options += "\n        transport http {\n            tls_insecure_skip_verify\n        }"
    port = _free_port()
    file = folder / "Caddyfile"
    scheme, protocols = ("h2c://", "h1 h2c") if http2 else ("", "h1")
    values = {"folder": folder, "port": port, "upstream": name, "options": options}
    file.write_text(CADDY.format(**values, scheme=scheme, protocols=protocols))
    with _running([_program("caddy"), "run", "--adapter", "caddyfile", "--config", str(file)], port):
        yield "127.0.0.1", port


def _program(name: str) -> str:
    if (program := shutil.which(name, path=PLACES)) is None:
        pytest.skip(f"{name} is not installed")
    return program


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@contextlib.contextmanager
def _running(command: Sequence[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def accepts() -> bool:
        if process.poll() is not None:
            raise AssertionError(process.communicate()[0].decode())
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(accepts, f"{Path(command[0]).name} to accept connections")
        yield
    finally:
        process.terminate()
        process.communicate()
