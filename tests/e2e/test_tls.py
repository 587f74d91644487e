"""Applications over TLS with both engines: requests, files, WebSockets, client certificates, and other clients."""

import ast
import asyncio
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.certificates import client as client_certificate
from tests.certificates import intermediate, localhost, root, rsa_key
from tests.e2e.websocket_client import WebSocket
from tests.helpers import Address, Client, Server, without_sanitizer

ENGINES = ("openssl", "python")
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
BODY = bytes(range(256)) * 4000
CLIENTS = Path(__file__).parent

Shared = Callable[..., Server]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The paths of certificates and keys by name."""
    folder = tmp_path_factory.mktemp("certificates")
    paths = {}
    for name, made in (
        ("server", localhost()),
        ("rsa", intermediate().issue("localhost", key=rsa_key())),
        ("client", client_certificate()),
    ):
        paths[f"{name}.crt"], paths[f"{name}.key"] = made.write(folder, name)
    (folder / "root.pem").write_bytes(root().pem)
    paths["root.pem"] = str(folder / "root.pem")
    return paths


@pytest.fixture(params=ENGINES)
def options(request: pytest.FixtureRequest, files: dict[str, str]) -> tuple[str, ...]:
    """The options of a server with one engine, and two certificates for one name."""
    pairs = [
        ("--ssl-certfile", files[f"{name}.crt"], "--ssl-keyfile", files[f"{name}.key"]) for name in ("server", "rsa")
    ]
    return ("--tls-engine", request.param, *pairs[0], *pairs[1])


@pytest.fixture
def server(shared: Shared, options: tuple[str, ...]) -> Server:
    return shared(*options, "--asgi-sendfile", app="websocket_apps:app")


def client_context(version: str = "1.3", certificate: tuple[str, str] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=root().pem.decode())
    context.minimum_version = context.maximum_version = VERSIONS[version]
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


class TlsClient(WebSocket):
    """A client over TLS. It may be that of a WebSocket."""

    def __init__(self, address: Address, context: ssl.SSLContext | None = None) -> None:
        super().__init__(address)
        try:
            self.sock: Any = (context or client_context()).wrap_socket(self.sock, server_hostname="localhost")
        except BaseException:
            self.close()
            raise

    @property
    def version(self) -> str:
        return str(self.sock.version()).removeprefix("TLSv")


def scope_of(client: Client, path: str = "/scope") -> dict[str, Any]:
    """Returns the scope of a request, whose entries are Python's literals."""
    return {name: ast.literal_eval(text) for name, text in json.loads(client.get(path).body).items()}


# ---------------------------------------------------------------- ASGI


@pytest.mark.parametrize("version", VERSIONS)
def test_the_extension_of_tls(server: Server, version: str) -> None:
    with TlsClient(server.address, client_context(version)) as client:
        for _ in range(2):
            scope = scope_of(client)
            assert scope["scheme"] == "https"
            tls = scope["extensions"]["tls"]
            assert tls["cipher_suite"] in {"1.2": (0xC02B, 0xC02C), "1.3": (0x1301, 0x1302)}[version]
            tls.pop("cipher_suite")
            assert tls == {
                "server_cert": localhost().pem.decode(),
                "client_cert_chain": (),
                "client_cert_name": None,
                "client_cert_error": None,
                "tls_version": {"1.2": 0x0303, "1.3": 0x0304}[version],
            }


def test_uploads_and_downloads(server: Server) -> None:
    with TlsClient(server.address) as client:
        assert client.post("/echo", BODY).body == BODY
        assert client.get("/large?3000000").body == b"x" * 3_000_000
        assert client.get("/hello").body == b"hello\n"


def test_a_file(server: Server) -> None:
    content = Path(__file__).read_bytes()
    messages = [
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(content))]},
        {"type": "http.response.pathsend", "path": __file__},
    ]
    with TlsClient(server.address) as client:
        for _ in range(2):
            assert client.get(f"/files?{quote(repr(messages))}").body == content


def test_a_websocket(server: Server) -> None:
    with TlsClient(server.address) as client:
        client.shake_hands("/echo")
        client.echo("over TLS")


def test_ecdsa_and_rsa_for_one_name(server: Server) -> None:
    context = client_context("1.2")
    context.set_ciphers("ECDHE+aRSA")
    with TlsClient(server.address, context) as client:
        pem = ssl.DER_cert_to_PEM_cert(client.sock.getpeercert(True))
        assert scope_of(client)["extensions"]["tls"]["server_cert"] == pem
        assert pem.encode() != localhost().pem


# ---------------------------------------------------------------- client certificates


@pytest.fixture
def with_clients(options: tuple[str, ...], files: dict[str, str]) -> tuple[str, ...]:
    return (*options, "--ssl-ca-certs", files["root.pem"], "--ssl-cert-reqs", "optional")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_with_a_certificate(
    shared: Shared, with_clients: tuple[str, ...], files: dict[str, str], version: str
) -> None:
    context = client_context(version, (files["client.crt"], files["client.key"]))
    server = shared(*with_clients)
    # The second one would resume the session, which has no chain: there is no ticket.
    for _ in range(2):
        with TlsClient(server.address, context) as client:
            tls = scope_of(client)["extensions"]["tls"]
            assert "".join(tls["client_cert_chain"]).encode() == client_certificate().chain_pem
            assert tls["client_cert_name"] == "CN=client,O=Example"
            assert tls["client_cert_error"] is None
            assert not client.sock.session_reused
    with TlsClient(server.address) as client:
        assert scope_of(client)["extensions"]["tls"]["client_cert_chain"] == ()


# ---------------------------------------------------------------- WSGI


@pytest.fixture
def wsgi(shared: Shared, with_clients: tuple[str, ...]) -> Server:
    return shared(*with_clients, app="wsgi_apps:app")


def test_the_environ(wsgi: Server) -> None:
    with TlsClient(wsgi.address) as client:
        environ = json.loads(client.get("/environ").body)
        assert (environ["wsgi.url_scheme"], environ["HTTPS"]) == ("https", "on")
        assert environ["SSL_PROTOCOL"] == "TLSv1.3"
        assert environ["SSL_CIPHER"].startswith("TLS_AES_")
        assert environ["SSL_TLS_SNI"] == "localhost"
        assert environ["SSL_CLIENT_VERIFY"] == "NONE"
        assert "SSL_CLIENT_CERT" not in environ


def test_a_client_certificate_in_the_environ(wsgi: Server, files: dict[str, str]) -> None:
    context = client_context(certificate=(files["client.crt"], files["client.key"]))
    with TlsClient(wsgi.address, context) as client:
        environ = json.loads(client.get("/environ").body)
        assert environ["SSL_CLIENT_VERIFY"] == "SUCCESS"
        assert environ["SSL_CLIENT_S_DN"] == "CN=client,O=Example"
        assert environ["SSL_CLIENT_S_DN_CN"] == "client"
        assert environ["SSL_CLIENT_CERT"].encode() == client_certificate().pem


def test_bodies_of_wsgi_applications(wsgi: Server) -> None:
    with TlsClient(wsgi.address) as client:
        assert client.post("/echo", BODY).body == BODY


# ---------------------------------------------------------------- contexts of users


def test_a_context_factory(start_server: Callable[..., Server], files: dict[str, str]) -> None:
    server = start_server(
        "--ssl-certfile", files["server.crt"], "--ssl-keyfile", files["server.key"],
        "--ssl-context-factory", "tls_contexts:make",
    )  # fmt: skip
    context = client_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with TlsClient(server.address, context) as client:
        assert client.version == "1.2"
        assert client.get("/hello").status == 200


# ---------------------------------------------------------------- other clients


def test_curl(server: Server, files: dict[str, str]) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    url = f"https://localhost:{server.address[1]}"
    for version in ("1.2", "1.3"):
        command = [
            curl,
            "--silent",
            "--show-error",
            "--cacert",
            files["root.pem"],
            "--tls-max",
            version,
            f"{url}/hello",
        ]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60, env=without_sanitizer())
        assert done.stdout == b"hello\n"


def test_openssl(server: Server, files: dict[str, str]) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    command = [
        openssl, "s_client", "-connect", f"127.0.0.1:{server.address[1]}", "-servername", "localhost",
        "-CAfile", files["root.pem"], "-verify_return_error", "-quiet", "-ign_eof",
    ]  # fmt: skip
    request = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    result = subprocess.run(command, input=request, capture_output=True, check=False, timeout=60)
    assert result.stdout.endswith(b"\r\n\r\nhello\n"), result.stderr


def test_requests_and_httpx(server: Server, files: dict[str, str]) -> None:
    import httpx
    import requests

    url = f"https://localhost:{server.address[1]}/hello"
    with requests.Session() as session:
        for _ in range(2):
            assert session.get(url, verify=files["root.pem"], timeout=60).content == b"hello\n"
    with httpx.Client(verify=ssl.create_default_context(cafile=files["root.pem"])) as other:
        assert other.get(url).content == b"hello\n"


def test_aiohttp(server: Server, files: dict[str, str]) -> None:
    import aiohttp

    context = ssl.create_default_context(cafile=files["root.pem"])
    url = f"https://localhost:{server.address[1]}"

    async def use() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            for _ in range(2):
                async with session.get(f"{url}/hello") as response:
                    assert await response.read() == b"hello\n"
            async with session.post(f"{url}/echo", data=BODY) as response:
                assert await response.read() == BODY
            async with session.ws_connect(f"{url}/echo") as websocket:
                await websocket.send_str("over TLS")
                assert await websocket.receive_str() == "over TLS"

    asyncio.run(use())


def test_node(server: Server, files: dict[str, str]) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    command = [node, str(CLIENTS / "tls_client.mjs"), f"https://localhost:{server.address[1]}"]
    environ = os.environ | {"NODE_EXTRA_CA_CERTS": files["root.pem"]}
    result = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60)
    assert result.stdout.splitlines() == ["hello", "TLSv1.2 hello", "TLSv1.3 hello", "1000000"], result.stderr


@pytest.mark.extended
def test_java(server: Server, files: dict[str, str]) -> None:
    java = shutil.which("java")
    if java is None or shutil.which("javac") is None:
        pytest.skip("no JDK is installed")
    # One file is compiled in memory. The flags save half of the time.
    command = [java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", str(CLIENTS / "TlsClient.java")]
    result = subprocess.run(
        [*command, files["root.pem"], f"https://localhost:{server.address[1]}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.stdout.splitlines() == ["TLSv1.2 HTTP_2 hello", "TLSv1.3 HTTP_2 hello", "1000000"], result.stderr


def test_a_plain_request_is_answered_in_plain_text(server: Server) -> None:
    with Client(server.address) as client:
        response = client.get("/hello")
        assert response.status == 400
        assert b"https://" in response.body
