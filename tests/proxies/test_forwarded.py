"""Forwarded data of nginx, HAProxy and Caddy, over TCP and Unix sockets, as applications of three frameworks have it.

Clients connect from 127.0.0.9. Proxies are at 127.0.0.1, or clients of a Unix socket: both are trusted by default.
"""

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.nginx import nginx
from tests.helpers import Address, Client, Server
from tests.proxies.forwarders import caddy, haproxy

pytestmark = pytest.mark.conformance

Proxy = Callable[[Address, Path], contextlib.AbstractContextManager[tuple[str, int]]]

# As docs/proxies.md has them; the scheme is that of a proxy with TLS.
X_FORWARDED: dict[str, Proxy] = {
    "nginx": lambda upstream, folder: nginx(
        upstream,
        folder,
        "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Host $http_host;"
        " proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto https;"
        ' proxy_set_header X-Request-Start "t=${msec}";',
    ),
    "haproxy": lambda upstream, folder: haproxy(
        upstream,
        folder,
        "",
        mode="http",
        frontend="option forwardfor\n    http-request set-header X-Forwarded-Proto https\n"
        "    http-request set-header X-Request-Start t=%[date(0,us)]",
    ),
    "caddy": lambda upstream, folder: caddy(
        upstream, folder, "header_up X-Forwarded-Proto https\n        header_up X-Request-Start t={time.now.unix_ms}"
    ),
}
FORWARDED: dict[str, Proxy] = {
    "nginx": lambda upstream, folder: nginx(
        upstream,
        folder,
        "proxy_set_header Host $http_host;"
        ' proxy_set_header Forwarded "$http_forwarded, for=\\"$remote_addr:$remote_port\\";proto=https";',
    ),
    "haproxy": lambda upstream, folder: haproxy(
        upstream, folder, "", mode="http", frontend="http-request add-header Forwarded for=%[src];proto=https"
    ),
    "caddy": lambda upstream, folder: caddy(
        upstream, folder, 'header_up +Forwarded "for={http.request.remote.host};proto=https"'
    ),
}
FORGED = (
    b"X-Forwarded-For: 192.0.2.1",
    b"X-Forwarded-Proto: http",
    b"X-Forwarded-Host: evil",
    b"X-Forwarded-Port: 1",
    b"X-Forwarded-Prefix: /evil",
    b"Forwarded: for=192.0.2.1;proto=http;host=evil",
    b"X_Forwarded_For: 192.0.2.1",
    b"X-Request-Start: t=1",
)
EXPECTED = {"client": "127.0.0.9", "scheme": "https", "url": "https://test/facts"}


@pytest.fixture(params=["tcp", "unix"])
def serve(request: pytest.FixtureRequest, start_server: Callable[..., Server], tmp_path: Path) -> Callable[..., Server]:
    """serve(*options): a server at a TCP address or a Unix socket."""
    bind = "127.0.0.1:0" if request.param == "tcp" else f"unix:{tmp_path}/app.sock"
    return lambda *options, **how: start_server(*options, bind=(bind,), **how)


@contextlib.contextmanager
def client_of(address: tuple[str, int]) -> Iterator[Client]:
    with Client(address) as client:
        client.sock.close()
        client.sock = socket.create_connection(address, source_address=("127.0.0.9", 0))
        yield client


def framework(name: str) -> dict[str, Any]:
    return {"app": f"framework_apps:{name}", "app_dir": Path(__file__).parent}


@pytest.mark.parametrize("app", ["flask_app", "django_app", "fastapi_app"])
@pytest.mark.parametrize("proxy", X_FORWARDED)
def test_frameworks_have_the_clients_address_and_url(
    serve: Callable[..., Server], tmp_path: Path, proxy: str, app: str
) -> None:
    server = serve(**framework(app))
    with X_FORWARDED[proxy](server.address, tmp_path) as address, client_of(address) as client:
        for fields in ((), FORGED, ()):
            assert json.loads(client.get("/facts", *fields).body) == EXPECTED
    # The access log has the client that the application sees.
    assert server.output is not None
    assert server.output.wait_for(r"^127\.0\.0\.9 .*/facts")


@pytest.mark.parametrize("app", ["flask_app", "django_app", "fastapi_app"])
@pytest.mark.parametrize("proxy", FORWARDED)
def test_frameworks_have_the_clients_address_and_url_by_rfc_7239(
    serve: Callable[..., Server], tmp_path: Path, proxy: str, app: str
) -> None:
    server = serve("--forwarded-headers", "forwarded", **framework(app))
    with FORWARDED[proxy](server.address, tmp_path) as address, client_of(address) as client:
        for fields in ((), FORGED, ()):
            assert json.loads(client.get("/facts", *fields).body) == EXPECTED


@pytest.mark.plain
@pytest.mark.parametrize("proxy", X_FORWARDED)
def test_a_proxy_that_is_not_trusted(serve: Callable[..., Server], tmp_path: Path, proxy: str) -> None:
    server = serve("--forwarded-allow-ips", "192.0.2.1", **framework("flask_app"))
    with X_FORWARDED[proxy](server.address, tmp_path) as address, client_of(address) as client:
        facts = json.loads(client.get("/facts", *FORGED).body)
    assert facts["client"] in ("127.0.0.1", "", None)
    assert (facts["scheme"], facts["url"]) == ("http", "http://test/facts")
    server.log.wait_for(r"INFO forwarding fields of a request ignored, the peer is not in --forwarded-allow-ips: ")


@pytest.mark.parametrize("proxy", X_FORWARDED)
def test_the_queue_time_since_the_proxy(serve: Callable[..., Server], tmp_path: Path, proxy: str) -> None:
    server = serve("--access-log-format", "%(U)s queued %(Q)s")
    with X_FORWARDED[proxy](server.address, tmp_path) as address, client_of(address) as client:
        assert client.get("/hello", *FORGED).status == 200
    assert server.output is not None
    assert float(server.output.wait_for(r"^/hello queued (.*)$")[1]) < 60
