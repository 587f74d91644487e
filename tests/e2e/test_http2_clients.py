"""Other clients of HTTP/2, on a socket and over TLS: curl, nghttp, h2load, Node and httpx."""

import json
import re
import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.certificates import localhost, root
from tests.helpers import Server, url_of, without_sanitizer

Shared = Callable[..., Server]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificate of the server, and with that of its authority in root.pem."""
    folder = tmp_path_factory.mktemp("http2-clients")
    localhost().write(folder, "server")
    (folder / "root.pem").write_bytes(root().pem)
    return folder


@pytest.fixture
def server(shared: Shared) -> Server:
    return shared("--http2-cleartext", "--asgi-sendfile", "--early-hints")


@pytest.fixture
def over_tls(shared: Shared, files: Path) -> Server:
    return shared("--ssl-certfile", f"{files}/server.crt", "--ssl-keyfile", f"{files}/server.key")


def run(*command: str) -> str:
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=30, env=without_sanitizer()
    ).stdout


def curl(*arguments: str) -> str:
    return run("curl", "--silent", "--show-error", "--max-time", "20", *arguments)


@pytest.mark.plain
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_by_prior_knowledge(server: Server) -> None:
    url = url_of(server.address)
    assert curl("--http2-prior-knowledge", "-w", "%{http_version}", f"{url}/hello") == "hello\n2"
    assert curl("--http2-prior-knowledge", "--data", "some text", f"{url}/echo") == "some text"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_over_tls(shared: Shared, over_tls: Server, files: Path) -> None:
    authority = f"{files}/root.pem"
    url = f"https://localhost:{over_tls.address[1]}/hello"
    assert curl("--http2", "--cacert", authority, "-w", "%{http_version}", url) == "hello\n2"
    assert curl("--http1.1", "--cacert", authority, "-w", "%{http_version}", url) == "hello\n1.1"
    without = shared("--no-http2", "--ssl-certfile", f"{files}/server.crt", "--ssl-keyfile", f"{files}/server.key")
    url = f"https://localhost:{without.address[1]}/hello"
    assert curl("--http2", "--cacert", authority, "-w", "%{http_version}", url) == "hello\n1.1"


NODE = """
const client = require('http2').connect(process.argv[1]);
const results = [];
let left = 20;
for (let n = 0; n < 20; n++) {
  const request = client.request({':path': '/echo', ':method': 'POST'});
  let body = '';
  request.setEncoding('utf8');
  request.on('data', piece => { body += piece; });
  request.on('end', () => {
    results.push(body);
    if (--left === 0) { console.log(JSON.stringify(results.sort())); client.close(); }
  });
  request.end('request ' + n);
}
"""


@pytest.mark.plain
@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_node_with_many_streams(server: Server) -> None:
    output = run("node", "-e", NODE, url_of(server.address))
    assert json.loads(output) == sorted(f"request {n}" for n in range(20))


@pytest.mark.plain
@pytest.mark.skipif(shutil.which("nghttp") is None, reason="needs nghttp2-client")
def test_nghttp(server: Server, over_tls: Server, files: Path) -> None:
    body = files / "body"
    body.write_bytes(b"sent by nghttp\n" * 10_000)
    secure = f"https://localhost:{over_tls.address[1]}"
    for url in (url_of(server.address), secure):
        assert run("nghttp", f"{url}/hello") == "hello\n"
        assert run("nghttp", f"--data={body}", f"{url}/echo") == body.read_text()
        assert run("nghttp", "--multiply=30", f"{url}/hello") == "hello\n" * 30


@pytest.mark.plain
@pytest.mark.skipif(shutil.which("h2load") is None, reason="needs nghttp2-client")
def test_h2load(server: Server, over_tls: Server) -> None:
    for url in (url_of(server.address), f"https://localhost:{over_tls.address[1]}"):
        output = run("h2load", "-n", "1000", "-c", "4", "-m", "20", f"{url}/hello")
        assert "1000 succeeded, 0 failed, 0 errored, 0 timeout" in output, output
        assert re.search(r"Application protocol: h2c?\n", output), output


def test_httpx_with_many_streams(over_tls: Server, files: Path) -> None:
    context = ssl.create_default_context(cafile=f"{files}/root.pem")
    with httpx.Client(http2=True, verify=context, base_url=f"https://localhost:{over_tls.address[1]}") as client:
        for number in range(10):
            response = client.post("/echo", content=b"%d " % number * 10_000)
            assert response.http_version == "HTTP/2"
            assert response.content == b"%d " % number * 10_000
