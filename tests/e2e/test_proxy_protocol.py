"""The PROXY protocol on a running server: addresses of applications and logs, and curl as the proxy."""

import json
import shutil
import subprocess
from collections.abc import Callable

import pytest

from tests.acceptor.test_proxy_protocol import INET, tlv, v2
from tests.helpers import Server, without_sanitizer

V1 = b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n"
HEADER = v2(INET + tlv(0x20, b"\1\0\0\0\0") + tlv(0xEA, b"\1vpce-1"))


def test_an_asgi_application_and_the_access_log_have_the_clients_address(shared: Callable[..., Server]) -> None:
    server = shared("--proxy-protocol", "auto")
    assert server.output is not None
    mark = server.output.mark()
    with server.connect() as client:
        client.send(V1)
        scope = json.loads(client.get("/scope?proxied").body)
    assert scope["client"] == "('2001:db8::1', 4711)"
    assert scope["server"] == "('2001:db8::2', 443)"
    assert server.output.wait_for(r"^(\S+) .*/scope\?proxied ", mark)[1] == "2001:db8::1"


def test_a_wsgi_application_has_the_clients_address(shared: Callable[..., Server]) -> None:
    server = shared("--proxy-protocol", "v2", app="wsgi_apps:app")
    with server.connect() as client:
        client.send(HEADER)
        environ = json.loads(client.get("/environ").body)
    names = ("REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT", "wsgi.url_scheme", "ianus.aws_vpc_endpoint_id")
    values = [environ[name] for name in names]
    assert values == ["192.0.2.1", "56324", "198.51.100.2", "443", "https", "vpce-1"]


def test_a_header_that_is_not_expected_is_named_in_the_log(shared: Callable[..., Server]) -> None:
    server = shared()
    for header in (V1, HEADER):
        mark = server.log.mark()
        with server.connect() as client:
            client.send(header)
            client.request("/scope")
            assert client.response().status == 400
        server.log.wait_for(r"INFO rejected request: status 400, client .*PROXY header; see --proxy-protocol$", mark)


def test_curl_as_the_proxy(shared: Callable[..., Server]) -> None:
    if (curl := shutil.which("curl")) is None:
        pytest.skip("curl is not installed")
    address = shared("--proxy-protocol", "auto").address
    assert isinstance(address, tuple)
    host, port = address
    command = [curl, "--silent", "--show-error", "--haproxy-protocol", f"http://{host}:{port}/scope"]
    output = subprocess.run(command, capture_output=True, check=True, timeout=30, env=without_sanitizer()).stdout
    scope = json.loads(output)
    assert scope["client"].startswith(f"('{host}', ")
    assert scope["server"] == repr((host, port))


def test_the_client_of_the_header_is_the_peer_for_forwarded_data(shared: Callable[..., Server]) -> None:
    server = shared("--proxy-protocol", "auto", "--forwarded-allow-ips", "192.0.2.1")
    hosts = {}
    for header in (HEADER, V1):
        with server.connect() as client:
            client.send(header)
            scope = json.loads(client.get("/scope", b"X-Forwarded-For: 203.0.113.7").body)
            hosts[header] = scope["client"]
            if header is HEADER:
                assert "'aws_vpc_endpoint_id': 'vpce-1'" in scope["extensions"]
    assert hosts == {HEADER: "('203.0.113.7', 0)", V1: "('2001:db8::1', 4711)"}
