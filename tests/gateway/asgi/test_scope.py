"""Each entry of the scope of a request and of a WebSocket."""

from collections.abc import Callable
from typing import Any

import pytest

from ianus.exchange.recording import RecordingConnection
from tests.exchange.conversation import get
from tests.gateway.asgi.stepping import AsgiConversation
from tests.gateway.asgi.test_websocket import handshake

Converse = Callable[..., AsgiConversation]


@pytest.fixture
def scope_of(converse: Converse) -> Callable[..., dict[str, Any]]:
    """Returns a function that sends a request and returns its scope."""

    def scope_of(data: bytes, **how: Any) -> dict[str, Any]:
        return converse(**how).request(data).scope

    return scope_of


ScopeOf = Callable[..., dict[str, Any]]


def test_the_scope_of_a_request(scope_of: ScopeOf) -> None:
    scope = scope_of(get("/caf%C3%A9/%2F?a=%20", b"X-Some: 1"))
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/caf\xe9//",
        "raw_path": b"/caf%C3%A9/%2F",
        "query_string": b"a=%20",
        "root_path": "",
        "headers": [(b"host", b"h"), (b"x-some", b"1")],
        "client": ("192.0.2.1", 4711),
        "server": ("192.0.2.80", 8000),
        "extensions": {"http.response.trailers": {}},
    }


def test_the_scope_of_a_websocket(scope_of: ScopeOf) -> None:
    scope = scope_of(handshake(b"sec-websocket-protocol: chat"))
    headers = scope.pop("headers")
    assert (b"sec-websocket-version", b"13") in headers
    assert scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/chat",
        "raw_path": b"/chat",
        "query_string": b"room=1",
        "root_path": "",
        "client": ("192.0.2.1", 4711),
        "server": ("192.0.2.80", 8000),
        "subprotocols": ["chat"],
        "extensions": {"websocket.http.response": {}},
    }


def test_schemes_over_tls(scope_of: ScopeOf) -> None:
    assert scope_of(get("/"), https=True)["scheme"] == "https"
    assert scope_of(handshake(), https=True)["scheme"] == "wss"


def test_a_unix_socket_has_no_client(scope_of: ScopeOf) -> None:
    scope = scope_of(get("/"), client=None, server=("/run/socket", None))
    assert (scope["client"], scope["server"]) == (None, ("/run/socket", None))


@pytest.mark.parametrize(("method", "expected"), [("GET", "GET"), ("POST", "POST"), ("PATCH", "PATCH"), ("get", "GET")])
def test_the_method_is_in_upper_case(scope_of: ScopeOf, method: str, expected: str) -> None:
    assert scope_of(f"{method} / HTTP/1.1\r\nhost: h\r\n\r\n".encode())["method"] == expected


def test_http_1_0_has_neither_trailers_nor_hints(scope_of: ScopeOf) -> None:
    scope = scope_of(get("/", version="1.0"), gateway={"early_hints": True, "asgi_sendfile": True})
    assert scope["http_version"] == "1.0"
    assert set(scope["extensions"]) == {"http.response.pathsend", "http.response.zerocopysend"}


@pytest.mark.parametrize(
    ("values", "extensions"),
    [
        ({"early_hints": True}, {"http.response.trailers", "http.response.early_hint"}),
        (
            {"asgi_sendfile": True},
            {"http.response.trailers", "http.response.pathsend", "http.response.zerocopysend"},
        ),
    ],
)
def test_extensions_are_settings(scope_of: ScopeOf, values: dict[str, bool], extensions: set[str]) -> None:
    assert set(scope_of(get("/"), gateway=values)["extensions"]) == extensions


@pytest.mark.parametrize(
    ("values", "sent", "path", "root_path"),
    [
        ({}, "/a", "/a", ""),
        ({"root_path": "/proxy"}, "/a", "/proxy/a", "/proxy"),
        ({"root_path": "/proxy"}, "*", "*", "/proxy"),
        ({"root_path_kept": "/proxy"}, "/proxy/a", "/proxy/a", "/proxy"),
        ({"mount_prefix": "/api"}, "/api/a", "/api/a", "/api"),
        ({"root_path": "/proxy", "mount_prefix": "/api"}, "/api/a", "/proxy/api/a", "/proxy/api"),
        ({"root_path_kept": "/proxy", "mount_prefix": "/api"}, "/proxy/api/a", "/proxy/api/a", "/proxy/api"),
    ],
)
def test_the_path_includes_the_root_path(
    scope_of: ScopeOf, values: dict[str, str], sent: str, path: str, root_path: str
) -> None:
    method = "OPTIONS" if sent == "*" else "GET"
    scope = scope_of(f"{method} {sent} HTTP/1.1\r\nhost: h\r\n\r\n".encode(), gateway=values)
    assert (scope["path"], scope["root_path"]) == (path, root_path)
    assert scope["raw_path"] == sent.encode()


def test_the_state_of_the_lifespan_is_copied(converse: Converse) -> None:
    pool = object()
    state = {"pool": pool}
    client = converse(gateway={"state": state})
    app = client.request(get("/"))
    assert app.scope["state"] == {"pool": pool}
    app.scope["state"]["own"] = 1
    assert state == {"pool": pool}


def test_an_application_may_change_its_scope(converse: Converse) -> None:
    client = converse()
    app = client.request(get("/", b"X-Some: 1"))
    scope = app.scope
    for name in ("asgi", "extensions"):
        scope[name]["own"] = 1
    scope["headers"].clear()
    scope["method"] = "OWN"
    app.returns()
    client.run()
    client.receives()
    app = client.request(get("/", b"X-Some: 1"))
    assert "own" not in app.scope["asgi"]
    assert "own" not in app.scope["extensions"]
    assert app.scope["method"] == "GET"
    assert client.observer.requests[0]["headers"] == [(b"host", b"h"), (b"x-some", b"1")]  # type: ignore[union-attr]


def test_connections_with_other_addresses_share_a_gateway(converse: Converse) -> None:
    client = converse()
    client.request(get("/")).returns()
    client.run()
    other = RecordingConnection(client.sessions, server=("192.0.2.81", 8001))
    other.receive(get("/"))
    client.run()
    assert client.app.scope["server"] == ("192.0.2.81", 8001)
    client.app.returns()
    client.run()
    assert client.request(get("/")).scope["server"] == ("192.0.2.80", 8000)
    other.lose()
