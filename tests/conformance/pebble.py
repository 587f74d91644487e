"""Pebble, the ACME server of Let's Encrypt for tests (Debian has it), and a DNS server that answers 127.0.0.1."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import root
from tests.helpers import until


@dataclass(frozen=True)
class Pebble:
    """A running one. directory: its URL. authorities: the file of the authority of its own certificate.

    http_port, tls_port: at which it validates names. log: the file of its log.
    """

    directory: str
    authorities: Path
    http_port: int
    tls_port: int
    log: Path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def _accepts(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@contextmanager
def run_pebble(folder: Path, http_port: int = 0, tls_port: int = 0, **environment: str) -> Iterator[Pebble]:
    """Runs it. Ports: 0 for free ones. environment: variables more, as its documentation has them."""
    http_port, tls_port = http_port or free_port(), tls_port or free_port()
    certificate, key = root().issue("localhost").write(folder, "pebble")
    authorities = folder / "pebble-root.pem"
    authorities.write_bytes(root().pem)
    api, dns = free_port(), free_port()
    settings = {
        "listenAddress": f"127.0.0.1:{api}",
        "managementListenAddress": f"127.0.0.1:{free_port()}",
        "certificate": certificate,
        "privateKey": key,
        "httpPort": http_port,
        "tlsPort": tls_port,
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": settings}))
    log = folder / "pebble.log"
    names = ["pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", f"127.0.0.1:{dns}"]
    unused = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{free_port()}"]
    with log.open("wb") as output:
        resolver = subprocess.Popen([*names, *unused], stdout=output, stderr=subprocess.STDOUT)
        pebble = subprocess.Popen(
            ["pebble", "-strict", "-config", str(folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns}"],
            env={**os.environ, "PEBBLE_VA_NOSLEEP": "1", **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            until(lambda: _accepts(api), "pebble accepts connections")
            yield Pebble(f"https://localhost:{api}/dir", authorities, http_port, tls_port, log)
        finally:
            for process in (pebble, resolver):
                process.terminate()
                process.wait()
