"""nginx as a proxy in front of a server."""

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers import Address, TlsAddress, until

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port}{http2};
        location / {{
            {module}_pass {scheme}://{upstream};
            {options}
        }}
    }}
}}
"""


@contextlib.contextmanager
def nginx(upstream: Address, folder: Path, options: str = "", *, http2: bool = False) -> Iterator[tuple[str, int]]:
    """Runs nginx before `upstream`, with `options` in its location block. Yields its address.

    http2: speak HTTP/2 with clients and with `upstream`, which nginx does for gRPC alone.
    """
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        pytest.skip("nginx is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    file = folder / "nginx.conf"
    name = f"unix:{upstream}" if isinstance(upstream, str) else f"{upstream[0]}:{upstream[1]}"
    module, scheme = ("grpc", "grpc") if http2 else ("proxy", "http")
    if isinstance(upstream, TlsAddress):
        scheme += "s"
    values = {"folder": folder, "port": port, "upstream": name, "options": options, "scheme": scheme, "module": module}
    file.write_text(CONFIGURATION.format(**values, http2=" http2" if http2 else ""))
    process = subprocess.Popen(
        [program, "-p", str(folder), "-c", str(file)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def accepts() -> bool:
        assert process.poll() is None, (folder / "error.log").read_text()
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(accepts, "nginx to accept connections")
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait()
