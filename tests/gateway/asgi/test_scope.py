"""Each entry of the scope of a request and of a WebSocket."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from ianus.exchange.recording import RecordingConnection, change_connection
from tests import certificates
from tests.exchange.conversation import get
from tests.exchange.tls import tls_facts
from tests.gateway.asgi.stepping import AsgiConversation, body, start
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


# ---------------------------------------------------------------- reports of proxies

REPORTED = {
    "client": ("10.0.0.1", 1),
    "forwarded_allow_ips": ("10.0.0.1",),
    "forwarded_fields": ("for", "proto", "host", "port", "prefix"),
}
REPORTS = (
    b"X-Forwarded-For: 192.0.2.9:5",
    b"X-Forwarded-Proto: https",
    b"X-Forwarded-Host: example.org",
    b"X-Forwarded-Prefix: /api",
)


def test_reports_of_a_proxy(scope_of: ScopeOf) -> None:
    scope = scope_of(get("/x", *REPORTS), **REPORTED)
    assert (scope["client"], scope["server"], scope["scheme"]) == (("192.0.2.9", 5), ("example.org", 443), "https")
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/api", "/api/x", b"/x")
    assert scope["headers"][0] == (b"host", b"example.org")


def test_reports_of_a_proxy_about_a_websocket(scope_of: ScopeOf) -> None:
    scope = scope_of(handshake(*REPORTS, b"X-Request-Start: 1"), **REPORTED)
    assert (scope["client"], scope["server"], scope["scheme"]) == (("192.0.2.9", 5), ("example.org", 443), "wss")
    assert (scope["root_path"], scope["path"]) == ("/api", "/api/chat")
    assert scope["extensions"] == {"websocket.http.response": {}}


@pytest.mark.parametrize("how", [{"root_path": "/old"}, {"root_path_kept": "/kept"}])
def test_a_reported_prefix_replaces_that_of_the_settings(scope_of: ScopeOf, how: dict[str, str]) -> None:
    path = how.get("root_path_kept", "") + "/x"
    scope = scope_of(get(path, b"X-Forwarded-Prefix: /api"), **REPORTED, gateway=how)
    assert (scope["root_path"], scope["path"]) == ("/api" + how.get("root_path_kept", ""), "/api" + path)


def test_a_reported_prefix_and_the_server_itself(scope_of: ScopeOf) -> None:
    scope = scope_of(b"OPTIONS * HTTP/1.1\r\nhost: h\r\nX-Forwarded-Prefix: /api\r\n\r\n", **REPORTED)
    assert (scope["root_path"], scope["path"]) == ("/api", "*")


# ---------------------------------------------------------------- queue time


def queue_time(scope: dict[str, Any]) -> float | None:
    value = scope["extensions"].get("ianus.queue_time")
    return None if value is None else value["seconds"]


@pytest.mark.parametrize("form", ["t={:.3f}", "{:.6f}", "t={:.0f}", "{ms:.0f}", "t={ms:.3f}", "{us:.0f}", "t={us:.0f}"])
def test_the_queue_time_since_the_proxy(scope_of: ScopeOf, form: str) -> None:
    since = time.time() - 90
    text = form.format(since, ms=since * 1e3, us=since * 1e6)
    for request in (get("/", b"X-Request-Start: " + text.encode()), handshake(b"X-Request-Start: " + text.encode())):
        found = queue_time(scope_of(request, **REPORTED))
        assert found is not None
        assert 89 < found < 120


@pytest.mark.parametrize(
    "text",
    [
        "",
        "t=",
        "t",
        "-1",
        "0",
        "1e9",
        "t=1 2",
        "t=1,t=2",
        "t=t=1",
        ".5",
        "nan",
        "9" * 16,
        "9" * 40,
        "{0:.0f}",
        "{1:.0f}",
        "t={2:.0f}",
    ],
)
def test_an_implausible_start_is_dropped(scope_of: ScopeOf, text: str) -> None:
    text = text.format(*(time.time() + seconds for seconds in (3600, -4000, -86400 * 365)))
    assert queue_time(scope_of(get("/", b"X-Request-Start: " + text.encode()), **REPORTED)) is None
    found = queue_time(scope_of(get("/", b"X-Request-Start: " + text.encode()), **REPORTED, queue_time=True))
    assert found is not None
    assert 0 < found < 30


def test_the_start_of_the_nearest_proxy(scope_of: ScopeOf) -> None:
    fields = [f"X-Request-Start: t={time.time() - ago:.3f}".encode() for ago in (900, 90)]
    found = queue_time(scope_of(get("/", *fields), **REPORTED))
    assert found is not None
    assert found < 120


def test_the_start_of_a_peer_that_is_not_trusted(scope_of: ScopeOf) -> None:
    field = f"X-Request-Start: t={time.time() - 90:.3f}".encode()
    assert queue_time(scope_of(get("/", field))) is None
    found = queue_time(scope_of(get("/", field), queue_time=True))
    assert found is not None
    assert found < 30


def test_the_queue_time_of_the_access_log(converse: Converse) -> None:
    conversation = converse(**REPORTED)
    for ago in (90, 0):
        fields = [f"X-Request-Start: {time.time() - ago:.3f}".encode()] if ago else []
        app = conversation.request(get("/", *fields))
        app.sends(start(), body())
        app.returns()
        conversation.run()
    assert conversation.observer is not None
    first, second = [request["queue_time"] for request in conversation.observer.requests]
    assert first > 89
    assert second == 0  # neither the format of the log nor the application wants it


def answered(client: AsgiConversation) -> dict[str, Any]:
    """Returns the scope of a request that is answered and whose application has returned."""
    app = client.request(get("/"))
    scope = app.scope
    app.sends(start(200), body(b""))
    app.returns()
    client.run()
    # The application has no reference to its exchange any more.
    vars(app).clear()
    app.calls = 0
    client.receives()
    return scope


PARTS = ("asgi", "extensions", "state")


def test_dictionaries_of_a_scope_are_used_again(converse: Converse) -> None:
    client = converse(gateway={"state": {"pool": 1}})

    def identities() -> list[int]:
        app = client.request(get("/"))
        found = [id(app.scope[part]) for part in PARTS]
        # As when the frame of an application is freed: its scope ends before its exchange.
        del app.scope
        app.sends(start(200), body(b""))
        app.returns()
        client.run()
        vars(app).clear()
        app.calls = 0
        return found

    assert identities() == identities()


@pytest.mark.parametrize("kept", [*PARTS, None])
def test_dictionaries_that_an_application_keeps_are_not_used_again(converse: Converse, kept: str | None) -> None:
    client = converse(gateway={"state": {"pool": 1}})
    scope = answered(client)
    # A part, or all of it.
    mine = scope if kept is None else scope[kept]
    del scope
    for _ in range(3):
        other = answered(client)
        for part in PARTS if kept is None else [kept]:
            assert other[part] is not (mine[part] if kept is None else mine)
            assert other[part] == (mine[part] if kept is None else mine)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("change", ["added", "removed", "replaced"])
def test_changes_of_an_application_stay_in_its_scope(converse: Converse, part: str, change: str) -> None:
    client = converse(gateway={"state": {"pool": 1}})
    before = {name: dict(answered(client)[name]) for name in PARTS}
    app = client.request(get("/"))
    if change == "added":
        app.scope[part]["own"] = 1
    elif change == "removed":
        app.scope[part].clear()
    else:
        for name in app.scope[part]:
            app.scope[part][name] = object()
    del app.scope
    app.sends(start(200), body(b""))
    app.returns()
    client.run()
    vars(app).clear()
    app.calls = 0
    for _ in range(3):
        scope = answered(client)
        assert {name: scope[name] for name in PARTS} == before
        del scope


# ---------------------------------------------------------------- TLS


def test_the_extension_of_tls(scope_of: ScopeOf) -> None:
    facts = tls_facts(server_certificate="server", client_chain=(certificates.client().der,))
    expected = {
        "server_cert": "server",
        "client_cert_chain": (certificates.client().pem.decode(),),
        "client_cert_name": "CN=client,O=Example",
        "client_cert_error": None,
        "tls_version": 0x0304,
        "cipher_suite": 0x1302,
    }
    scope = scope_of(get("/"), https=True, tls=facts)
    assert scope["scheme"] == "https"
    assert scope["extensions"] == {"http.response.trailers": {}, "tls": expected}
    scope = scope_of(handshake(), https=True, tls=facts)
    assert scope["scheme"] == "wss"
    assert scope["extensions"] == {"websocket.http.response": {}, "tls": expected}


def test_the_extension_of_tls_without_a_client_certificate(scope_of: ScopeOf) -> None:
    tls = scope_of(get("/", version="1.0"), https=True, tls=tls_facts(cipher_suite=None))["extensions"]["tls"]
    assert tls == {
        "server_cert": None,
        "client_cert_chain": (),
        "client_cert_name": None,
        "client_cert_error": None,
        "tls_version": 0x0304,
        "cipher_suite": None,
    }


@pytest.mark.parametrize("change", ["of an entry", "of the extension", "of the others", "kept"])
def test_an_application_may_change_its_extension_of_tls(converse: Converse, change: str) -> None:
    client = converse(https=True, tls=tls_facts())
    extensions = client.request(get("/")).scope["extensions"]
    kept = None
    if change == "of an entry":
        extensions["tls"]["tls_version"] = 1
    elif change == "of the extension":
        extensions["tls"] = {}
    elif change == "of the others":
        del extensions["http.response.trailers"]
    else:
        kept = extensions["tls"]
    del extensions
    client.app.sends(start(), body())
    client.app.returns()
    client.app.scope = {}
    client.run()
    second = client.request(get("/")).scope["extensions"]
    assert second["tls"]["tls_version"] == 0x0304
    assert second["tls"] is not kept
    assert "http.response.trailers" in second


def test_scopes_of_connections_that_share_an_application(converse: Converse) -> None:
    """The parts of a scope are used again, by connections with and without TLS."""
    seen = []
    one, other = tls_facts(), tls_facts(client_chain=(certificates.client().der,))
    client = converse(https=True, tls=one)
    for facts in (one, one, other, None, one, None):
        change_connection(client.connection, facts)
        seen.append(client.request(get("/")).scope["extensions"].get("tls", {}).get("client_cert_name", "none"))
        client.app.sends(start(), body())
        client.app.returns()
        client.app.scope = {}
        client.run()
    assert seen == [None, None, "CN=client,O=Example", "none", None, "none"]


@pytest.mark.parametrize("https", [False, True])
def test_a_plain_connection_has_no_extension_of_tls(scope_of: ScopeOf, https: bool) -> None:
    # A proxy may report https.
    assert "tls" not in scope_of(get("/"), https=https)["extensions"]
    assert "tls" not in scope_of(handshake(), https=https)["extensions"]
