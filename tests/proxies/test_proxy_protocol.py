"""The PROXY protocol of HAProxy and nginx, over TCP and Unix sockets."""

import contextlib
import json
import re
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import Address, Client, Server, until
from tests.proxies.forwarders import haproxy, haproxy_state, nginx_stream

pytestmark = pytest.mark.conformance

Proxy = Callable[[Address, Path], contextlib.AbstractContextManager[tuple[str, int]]]

PROXIES: dict[str, Proxy] = {
    "haproxy-v1": lambda upstream, folder: haproxy(upstream, folder, "send-proxy"),
    "haproxy-v2": lambda upstream, folder: haproxy(upstream, folder, "send-proxy-v2"),
    "haproxy-v2-options": lambda upstream, folder: haproxy(
        upstream, folder, "send-proxy-v2 proxy-v2-options unique-id,crc32c", backend="option tcp-check"
    ),
    "haproxy-http": lambda upstream, folder: haproxy(
        upstream, folder, "send-proxy-v2", mode="http", backend="http-reuse always"
    ),
    "nginx": nginx_stream,
}


@pytest.fixture(params=["tcp", "unix"])
def upstream(
    request: pytest.FixtureRequest, start_server: Callable[..., Server], tmp_path: Path
) -> Callable[..., Server]:
    """upstream(*options): a server at a TCP address or a Unix socket that expects headers."""
    bind = "127.0.0.1:0" if request.param == "tcp" else f"unix:{tmp_path}/app.sock"
    return lambda *options: start_server("--proxy-protocol", "auto", *options, bind=(bind,))


@contextlib.contextmanager
def connected(address: tuple[str, int], source: str = "127.0.0.1") -> Iterator[tuple[Client, tuple[str, int]]]:
    """A client of a proxy, and its own address."""
    with Client(address) as client:
        client.sock.close()
        client.sock = socket.create_connection(address, source_address=(source, 0))
        yield client, client.sock.getsockname()


@pytest.mark.parametrize("proxy", PROXIES)
def test_each_client_has_its_own_address(upstream: Callable[..., Server], tmp_path: Path, proxy: str) -> None:
    server = upstream()
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(PROXIES[proxy](server.address, tmp_path))
        clients = [stack.enter_context(connected(address, f"127.0.0.{last}")) for last in (1, 2, 3)]
        for _ in range(2):  # of a connection that was used, too
            for client, own in clients:
                scope = json.loads(client.get("/scope").body)
                assert (scope["client"], scope["server"]) == (repr(own), repr(address))
                assert scope["scheme"] == "'http'"
    # The access log has the client that the application sees.
    assert server.output is not None
    for last in (1, 2, 3):
        assert server.output.wait_for(rf"^127\.0\.0\.{last} .*/scope")
    assert "refused" not in server.log.text


@pytest.mark.parametrize("how", ["send-proxy check-send-proxy", "send-proxy-v2 check-send-proxy"])
@pytest.mark.parametrize("backend", ["option httpchk GET /hello", ""], ids=["http", "connect"])
def test_health_checks_of_haproxy(upstream: Callable[..., Server], tmp_path: Path, how: str, backend: str) -> None:
    server = upstream()
    expected = "UP L7OK" if backend else "UP L4OK"
    with haproxy(server.address, tmp_path, f"{how} check inter 50", backend=backend):
        until(lambda: haproxy_state(tmp_path) == expected, "the health checks")
    # The folders of tests are closed to other users.
    assert not re.search("WARNING (?!access to a Unix socket is restricted)", server.log.text)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A file with a key and its own certificate."""
    pem = tmp_path / "both.pem"
    options = "-newkey rsa:2048 -nodes -subj /CN=test -keyout - -out -"
    command = ["openssl", "req", "-x509", *options.split()]
    pem.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    return pem


def with_tls(client: Client, certificate: Path) -> Client:
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    client.sock = context.wrap_socket(client.sock)
    return client


def test_tls_of_haproxy_is_the_scheme(upstream: Callable[..., Server], tmp_path: Path, certificate: Path) -> None:
    server = upstream()
    proxy = haproxy(server.address, tmp_path, "send-proxy-v2-ssl", bind=f"ssl crt {certificate}")
    with proxy as address, connected(address) as (client, own):
        scope = json.loads(with_tls(client, certificate).get("/scope").body)
    assert (scope["client"], scope["scheme"]) == (repr(own), "'https'")


@pytest.mark.parametrize("name", ["flask_app", "django_app", "fastapi_app"])
def test_frameworks_have_the_clients_address_and_url(
    start_server: Callable[..., Server], tmp_path: Path, certificate: Path, name: str
) -> None:
    server = start_server("--proxy-protocol", "v2", app=f"framework_apps:{name}", app_dir=Path(__file__).parent)
    proxy = haproxy(server.address, tmp_path, "send-proxy-v2-ssl", bind=f"ssl crt {certificate}")
    with proxy as address, connected(address, "127.0.0.9") as (client, _):
        facts = json.loads(with_tls(client, certificate).get("/facts", b"X-Forwarded-For: 192.0.2.1").body)
    assert facts == {"client": "127.0.0.9", "scheme": "https", "url": "https://test/facts"}


def test_a_proxy_that_is_not_allowed(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server("--proxy-protocol", "v2", "--proxy-allow-ips", "192.0.2.1")
    with haproxy(server.address, tmp_path, "send-proxy-v2") as address, Client(address) as client:
        client.request("/scope")
        assert client.gone()
    server.log.wait_for(r"WARNING refused 1 connection\(s\) .*: the peer is not in --proxy-allow-ips$")
