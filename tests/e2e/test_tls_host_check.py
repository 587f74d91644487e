"""Connections that are used for a host without a certificate on them, by clients of both versions of HTTP."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.certificates import intermediate, root
from tests.helpers import Server, without_sanitizer

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")

Shared = Callable[..., Server]


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two certificates, of which the first one has a wildcard, and the authority of both."""
    folder = tmp_path_factory.mktemp("pairs")
    intermediate().issue("one.test", "*.one.test", "127.0.0.1").write(folder, "one")
    intermediate().issue("two.test").write(folder, "two")
    (folder / "authority").write_bytes(root().pem)
    return folder


@pytest.fixture(params=["openssl", "python"])
def server(request: pytest.FixtureRequest, shared: Shared, pairs: Path) -> Server:
    options = ("--tls-host-check", "--health-path", "/up", "--tls-engine", request.param)
    return shared("--ssl-cert-dir", str(pairs), *options)


def statuses(server: Server, pairs: Path, version: str, requests: list[tuple[str, str]]) -> list[str]:
    """Asks for URLs with a Host in one call of curl, which keeps its connections. Returns versions and statuses."""
    command: list[str] = []
    for url, host in requests:
        command += ["--next"] if command else []
        command += ["--silent", "--show-error", "--max-time", "20", version, "--cacert", str(pairs / "authority")]
        command += ["--connect-to", f"::127.0.0.1:{server.address[1]}", "--output", "/dev/null"]
        command += ["--write-out", "%{http_version} %{http_code}\\n", "--header", f"Host: {host}", url]
    done = subprocess.run(
        ["curl", *command], check=True, capture_output=True, text=True, timeout=30, env=without_sanitizer()
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("version", ["2", "1.1"])
def test_a_connection_serves_the_hosts_of_its_certificate(server: Server, pairs: Path, version: str) -> None:
    option = "--http2" if version == "2" else "--http1.1"
    requests = {
        ("https://one.test/hello", "one.test"): "200",
        ("https://one.test/hello", "two.test"): "421",
        ("https://one.test/hello", "WWW.one.test.:8443"): "200",
        ("https://one.test/hello", "127.0.0.1"): "200",
        ("https://one.test/hello", "a.b.one.test"): "421",
        ("https://one.test/up", "192.0.2.1"): "200",
        ("https://two.test/hello", "two.test"): "200",
        ("https://two.test/hello", "one.test"): "421",
        # Without a name in the handshake, the first certificate is sent.
        ("https://127.0.0.1/hello", "one.test"): "200",
        ("https://127.0.0.1/hello", "two.test"): "421",
    }
    assert statuses(server, pairs, option, list(requests)) == [f"{version} {status}" for status in requests.values()]
    # Perhaps of the test before this one
    server.log.wait_for("INFO rejected request: status 421, client 127.0.0.1:")
