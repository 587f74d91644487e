"""Forwarded data, as requests have them after the session has read them."""

import itertools
import logging
from collections.abc import Callable
from typing import Any

import pytest

from ianus.exchange.recording import CLIENT, SERVER, tls_facts_of
from tests.exchange.conversation import Conversation, get
from tests.exchange.tls import tls_facts

Converse = Callable[..., Conversation]
ALL: dict[str, Any] = {"forwarded_fields": ("for", "proto", "host", "port", "prefix")}
PROXY = ("10.0.0.1", 4711)
TRUSTED: dict[str, Any] = {"client": PROXY, "forwarded_allow_ips": ("10.0.0.0/8", "2001:db8:1::/48", "unix")}
RFC7239: dict[str, Any] = {"forwarded_headers": "forwarded"}


def client_of(converse: Converse, *fields: str, **how: Any) -> object:
    """Returns the client of a request with these fields, by default from a trusted proxy."""
    exchange = converse(**{**TRUSTED, **how}).open(get("/", *(field.encode("latin-1") for field in fields)))
    return exchange.connection.client


# ---------------------------------------------------------------- the client


@pytest.mark.parametrize(
    ("text", "client"),
    [
        ("192.0.2.9", ("192.0.2.9", 0)),
        ("192.0.2.9:8080", ("192.0.2.9", 8080)),
        ("2001:DB8::9", ("2001:db8::9", 0)),
        ("[2001:db8:0:0::9]", ("2001:db8::9", 0)),
        ("[2001:db8::9]:443", ("2001:db8::9", 443)),
        ("::ffff:192.0.2.9", ("192.0.2.9", 0)),
        ("[::ffff:c000:209]:1", ("192.0.2.9", 1)),
        # A list: the rightmost address that is not trusted. The client itself has sent all that is left of it.
        ("198.51.100.1, 192.0.2.9", ("192.0.2.9", 0)),
        ("198.51.100.1, 192.0.2.9, 10.0.0.2", ("192.0.2.9", 0)),
        ("198.51.100.1,192.0.2.9,10.0.0.2,\t10.255.0.3 ", ("192.0.2.9", 0)),
        ("192.0.2.9, 2001:db8:1::1", ("192.0.2.9", 0)),
        ("192.0.2.9, ::ffff:10.0.0.2", ("192.0.2.9", 0)),
        ("192.0.2.9:1, 10.0.0.2:2", ("192.0.2.9", 1)),
        (", ,192.0.2.9, ,", ("192.0.2.9", 0)),
        ("garbage, 192.0.2.9", ("192.0.2.9", 0)),
        # All are trusted: a client in the network of the proxies.
        ("10.0.0.3, 10.0.0.2", ("10.0.0.3", 0)),
        # A hop without an address: the proxy to the right of it.
        ("192.0.2.9, unknown, 10.0.0.2", ("10.0.0.2", 0)),
        ("192.0.2.9, _hidden, 10.0.0.2", ("10.0.0.2", 0)),
        ("unknown", PROXY),
        ("_hidden", PROXY),
        ("", PROXY),
        (",", PROXY),
        ("192.0.2.9, garbage", PROXY),
        ("192.0.2.09", PROXY),
        ("192.0.2", PROXY),
        ("0x7f.1", PROXY),
        ("3221225993", PROXY),
        ("192.0.2.9:", PROXY),
        ("192.0.2.9:65536", PROXY),
        ("192.0.2.9:-1", PROXY),
        ("192.0.2.9:1:2", PROXY),
        ("[192.0.2.9]", PROXY),
        ("[2001:db8::9", PROXY),
        ("[2001:db8::9]443", PROXY),
        ("fe80::1%eth0", PROXY),
        ("2001:db8::9 x", PROXY),
        ("192.0.2.9;192.0.2.8", PROXY),
        ('"192.0.2.9"', PROXY),
        ("<script>", PROXY),
        ("\xe9", PROXY),
        ("1" * 300, PROXY),
        (",".join(["10.0.0.2"] * 100), ("10.0.0.2", 0)),
        ("192.0.2.9," + ",".join(["10.0.0.2"] * 31), ("192.0.2.9", 0)),
        ("192.0.2.9," + ",".join(["10.0.0.2"] * 32), ("10.0.0.2", 0)),
    ],
)
def test_the_client_of_x_forwarded_for(converse: Converse, text: str, client: object) -> None:
    assert client_of(converse, f"X-Forwarded-For: {text}") == client


@pytest.mark.parametrize(
    ("text", "client"),
    [
        ("for=192.0.2.9", ("192.0.2.9", 0)),
        ("For=192.0.2.9;by=10.0.0.1", ("192.0.2.9", 0)),
        ('for="192.0.2.9:8080"', ("192.0.2.9", 8080)),
        ("for=192.0.2.9:8080", ("192.0.2.9", 8080)),
        ('for="[2001:db8::9]:443";proto=https', ("2001:db8::9", 443)),
        ("for=[2001:db8::9]", ("2001:db8::9", 0)),
        ('for="192.0.2.9:_port"', ("192.0.2.9", 0)),
        ('for="[::ffff:192.0.2.9]"', ("192.0.2.9", 0)),
        ("for=198.51.100.1, for=192.0.2.9", ("192.0.2.9", 0)),
        ("for=198.51.100.1, for=192.0.2.9, for=10.0.0.2", ("192.0.2.9", 0)),
        ('for=192.0.2.9;ext="a, for=10.0.0.9", for=10.0.0.2', ("192.0.2.9", 0)),
        ('for=192.0.2.9;ext="a\\", for=10.0.0.9", for=10.0.0.2', ("192.0.2.9", 0)),
        ("for=192.0.2.9 ; proto=http ,, for=10.0.0.2;", ("192.0.2.9", 0)),
        ("for=10.0.0.3, for=10.0.0.2", ("10.0.0.3", 0)),
        ("for=192.0.2.9, for=unknown, for=10.0.0.2", ("10.0.0.2", 0)),
        ("for=192.0.2.9, by=10.0.0.5, for=10.0.0.2", ("10.0.0.2", 0)),
        ("for=unknown", PROXY),
        ("for=_hidden", PROXY),
        ("proto=https", PROXY),
        ("", PROXY),
        ("192.0.2.9", PROXY),
        ("for", PROXY),
        ("for=", PROXY),
        ('for=""', PROXY),
        ("for = 192.0.2.9", PROXY),
        ("for=192.0.2.9;for=192.0.2.8", PROXY),
        ("for=192.0.2.9 x", PROXY),
        ("for=192.0.2.9;=", PROXY),
        ('for="192.0.2\\.9"', PROXY),
        # An open quote of the client must not turn the proxy's element into text, or its own text into an element.
        ('for="192.0.2.9, for=192.0.2.8', PROXY),
        ('for="192.0.2.9, for="[2001:db8::1]"', PROXY),
        ('for="\\', PROXY),
        (", ".join(["for=10.0.0.2"] * 100), ("10.0.0.2", 0)),
        ("for=192.0.2.9, " + ", ".join(["for=10.0.0.2"] * 31), ("192.0.2.9", 0)),
        ("for=192.0.2.9, " + ", ".join(["for=10.0.0.2"] * 32), ("10.0.0.2", 0)),
    ],
)
def test_the_client_of_forwarded(converse: Converse, text: str, client: object) -> None:
    assert client_of(converse, f"Forwarded: {text}", **RFC7239) == client


def test_lines_of_a_field_are_one_list(converse: Converse) -> None:
    lines = ["X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 192.0.2.9, 10.0.0.3", "X-Forwarded-For: 10.0.0.2"]
    assert client_of(converse, *lines) == ("192.0.2.9", 0)
    assert client_of(converse, *reversed(lines)) == ("198.51.100.1", 0)
    assert client_of(converse, *lines, *["X-Real-IP: 1.1.1.1"] * 30) == ("192.0.2.9", 0)  # more than are recorded


def test_lines_of_forwarded(converse: Converse) -> None:
    lines = ["Forwarded: for=192.0.2.9", "Forwarded: for=10.0.0.2"]
    assert client_of(converse, *lines, **RFC7239) == ("192.0.2.9", 0)
    # The open quote ends with its line.
    assert client_of(converse, 'Forwarded: for="x', "Forwarded: for=192.0.2.9", **RFC7239) == ("192.0.2.9", 0)
    assert client_of(converse, 'Forwarded: for="x', "Forwarded: for=10.0.0.2", **RFC7239) == ("10.0.0.2", 0)


def test_any_peer_is_trusted_and_the_last_hop_is_the_client(converse: Converse) -> None:
    fields = "X-Forwarded-For: 198.51.100.1, 192.0.2.9"
    assert client_of(converse, fields, client=CLIENT, forwarded_allow_ips=("*",)) == ("192.0.2.9", 0)
    # Networks beside it are those of further proxies.
    how: dict[str, Any] = {"client": CLIENT, "forwarded_allow_ips": ("*", "192.0.2.0/24")}
    assert client_of(converse, fields, **how) == ("198.51.100.1", 0)


# ---------------------------------------------------------------- trust

REPORTS = {
    "x-forwarded": ["X-Forwarded-For: 192.0.2.9", "X-Forwarded-Proto: https"],
    "forwarded": ["Forwarded: for=192.0.2.9;proto=https"],
}
PEERS = [
    (("10.0.0.1", 1), ("10.0.0.1",), True),
    (("10.0.0.1", 1), ("10.0.0.0/8",), True),
    (("10.0.0.1", 1), ("*",), True),
    (("10.0.0.1", 1), ("unix",), False),
    (("10.0.0.1", 1), ("10.0.0.2",), False),
    (("10.0.0.1", 1), (), False),
    (("::ffff:10.0.0.1", 1), ("10.0.0.1",), True),
    (("2001:db8::1", 1), ("2001:db8::/32",), True),
    (("2001:db9::1", 1), ("2001:db8::/32",), False),
    (None, ("unix",), True),
    (None, ("*",), True),
    (None, ("127.0.0.1", "::1"), False),
    # The default
    (("127.0.0.1", 1), None, True),
    (("::1", 1), None, True),
    (None, None, True),
    (("10.0.0.1", 1), None, False),
]


@pytest.mark.parametrize(("peer", "listed", "is_trusted"), PEERS)
@pytest.mark.parametrize(("family", "sent"), list(itertools.product(REPORTS, REPORTS)))
def test_one_family_of_trusted_peers_is_believed(
    converse: Converse, peer: object, listed: object, is_trusted: bool, family: str, sent: str
) -> None:
    conversation = converse(client=peer, forwarded_allow_ips=listed, forwarded_headers=family)
    exchange = conversation.open(get("/", *(field.encode() for field in REPORTS[sent])))
    if is_trusted and family == sent:
        assert exchange.connection.client == ("192.0.2.9", 0)
        assert exchange.connection.scheme == "https"
    else:
        assert exchange.connection.client == peer
        assert exchange.connection.scheme == "http"
    names = [name.decode() for name, _ in exchange.request.headers]
    # A setting was given, so fields of other peers are removed. Those of a trusted proxy are its own business.
    assert names == ["host", *(field.partition(":")[0].lower() for field in REPORTS[sent] if is_trusted)]
    conversation.answer()
    assert conversation.observer is not None
    assert conversation.observer.requests[0]["client"] == exchange.connection.client


FORGED = [
    "X-Forwarded-For: 1.1.1.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: evil",
    "X-Forwarded-Port: 1",
    "X-Forwarded-Prefix: /evil",
    "X-Forwarded-User: root",
    "X-Forwarded-Ssl: on",
    "X-Forwarded-: on",
    "X-Forwarded-Client-Certificate-" + "X" * 40 + ": a",
    "Forwarded: for=1.1.1.1",
    "X-Real-IP: 1.1.1.1",
    "True-Client-IP: 1.1.1.1",
    "CF-Connecting-IP: 1.1.1.1",
    "Front-End-Https: on",
    "X-Request-Start: t=1",
    "X_Forwarded_For: 1.1.1.1",
    "X-Forwarded_Proto: https",
    "X_Real_IP: 1.1.1.1",
    "X_Forwarded_User: root",
    "X_Forwarded-Client-Certificate-" + "X" * 40 + ": a",
]
KEPT = ["X-Forwardedx: a", "X-Some: b", "X_Some: c", "Cookie: d", "F_x: e", "X" * 60 + ": f"]
EXPLICIT: list[dict[str, Any]] = [
    {"forwarded_allow_ips": ("10.9.9.9",)},
    {"proxy_headers": True},
    {"forwarded_headers": "x-forwarded"},
    {"forwarded_fields": ("for",)},
]


def names_of(converse: Converse, *fields: str, **how: Any) -> list[str]:
    request = converse(**how).open(get("/", *map(str.encode, fields))).request
    return [name.decode() for name, _ in request.headers]


@pytest.mark.parametrize("given", EXPLICIT)
def test_fields_of_other_peers_are_removed_if_a_setting_was_given(converse: Converse, given: dict[str, Any]) -> None:
    kept = [field.partition(":")[0].lower() for field in KEPT]
    assert names_of(converse, *FORGED, *KEPT, **given) == ["host", *kept]
    for field in FORGED:
        assert names_of(converse, field, **given) == ["host"], field


def test_without_a_setting_the_fields_of_other_peers_stay_for_the_application(converse: Converse) -> None:
    fields = [field for field in FORGED if "_" not in field]
    exchange = converse().open(get("/", *map(str.encode, fields)))
    assert [name.decode() for name, _ in exchange.request.headers[1:]] == [
        field.partition(":")[0].lower() for field in fields
    ]
    assert (exchange.connection.client, exchange.connection.server) == (CLIENT, SERVER)


@pytest.mark.parametrize("how", [{}, TRUSTED])
def test_aliases_of_forwarding_fields_never_get_through(converse: Converse, how: dict[str, Any]) -> None:
    aliases = [field for field in FORGED if "_" in field]
    assert names_of(converse, *aliases, "X_Some: a", **how) == ["host", "x_some"]
    assert client_of(converse, *aliases) == PROXY


def test_the_server_can_leave_all_fields_alone(converse: Converse) -> None:
    exchange = converse(**TRUSTED, proxy_headers=False).open(get("/", *map(str.encode, FORGED)))
    assert len(exchange.request.headers) == 1 + len(FORGED)
    assert exchange.connection.client == PROXY


def test_ignored_fields_are_logged_once(converse: Converse, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    conversation = converse()
    for _ in range(2):
        conversation.open(get("/", b"X-Forwarded-For: 1.1.1.1"))
        conversation.answer()
    assert [record.getMessage() for record in caplog.records if "forwarding" in record.getMessage()] == [
        "forwarding fields of a request ignored, the peer is not in --forwarded-allow-ips: 192.0.2.1"
    ]


def test_a_rejected_request_is_logged_with_its_client(converse: Converse) -> None:
    conversation = converse(**TRUSTED, max_request_body_size=1)
    conversation.connection.receive(get("/", b"X-Forwarded-For: 192.0.2.9", b"Content-Length: 2"))
    assert conversation.receives().startswith(b"HTTP/1.1 413 ")
    assert conversation.observer is not None
    assert [request["client"] for request in conversation.observer.requests] == [("192.0.2.9", 0)]


def test_each_request_of_a_connection_has_its_own_client(converse: Converse) -> None:
    conversation = converse(**TRUSTED)
    clients = []
    for field in (b"X-Forwarded-For: 192.0.2.8", b"X-Some: a", b"X-Forwarded-For: 192.0.2.9"):
        clients.append(conversation.open(get("/", field)).connection.client)
        conversation.answer()
    assert clients == [("192.0.2.8", 0), PROXY, ("192.0.2.9", 0)]


# ---------------------------------------------------------------- scheme, host, port, prefix


@pytest.mark.parametrize(
    ("fields", "scheme"),
    [
        (["X-Forwarded-Proto: https"], "https"),
        (["X-Forwarded-Proto: HTTPS"], "https"),
        (["X-Forwarded-Proto: wss"], "https"),
        (["X-Forwarded-Proto: ws"], "http"),
        (["X-Forwarded-Proto: http"], "http"),
        (["X-Forwarded-Proto: httpss"], "http"),
        (["X-Forwarded-Proto: ftp"], "http"),
        (["X-Forwarded-Proto:"], "http"),
        # Without an address the last element is that of the proxy itself.
        (["X-Forwarded-Proto: https, http"], "http"),
        (["X-Forwarded-Proto: http", "X-Forwarded-Proto: https"], "https"),
        # Elements at the same place from the right are about the same hop.
        (["X-Forwarded-For: 192.0.2.9, 10.0.0.2", "X-Forwarded-Proto: https, http"], "https"),
        (["X-Forwarded-For: 192.0.2.9, 10.0.0.2", "X-Forwarded-Proto: http, https, http"], "https"),
        (["X-Forwarded-For: 192.0.2.9, 10.0.0.2", "X-Forwarded-Proto: https"], "https"),
        (["X-Forwarded-For: 198.51.100.1, 192.0.2.9", "X-Forwarded-Proto: https, http"], "http"),
        (["X-Forwarded-For: unknown, 10.0.0.2", "X-Forwarded-Proto: https, http"], "https"),
        (["Forwarded: proto=https"], "http"),
    ],
)
def test_the_scheme_of_x_forwarded_proto(converse: Converse, fields: list[str], scheme: str) -> None:
    assert converse(**TRUSTED).open(get("/", *map(str.encode, fields))).connection.scheme == scheme


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("proto=https", "https"),
        ('Proto="HTTPS"', "https"),
        ("for=unknown;proto=https", "https"),
        ("for=192.0.2.9;proto=https, for=10.0.0.2;proto=http", "https"),
        ("for=198.51.100.1;proto=https, for=192.0.2.9;proto=http", "http"),
        ("for=unknown;proto=https, for=10.0.0.2;proto=http", "https"),
        ("proto=https, for=192.0.2.9", "http"),
        ("proto=https;proto=https", "http"),
        ('proto="https', "http"),
    ],
)
def test_the_scheme_of_forwarded(converse: Converse, text: str, scheme: str) -> None:
    exchange = converse(**TRUSTED, **RFC7239).open(get("/", f"Forwarded: {text}".encode()))
    assert exchange.connection.scheme == scheme


def host_and_server(converse: Converse, *fields: str, **how: Any) -> tuple[list[bytes], object]:
    exchange = converse(**{**TRUSTED, **ALL, **how}).open(get("/", *map(str.encode, fields)))
    return [value for name, value in exchange.request.headers if name == b"host"], exchange.connection.server


@pytest.mark.parametrize(
    ("fields", "host", "server"),
    [
        (["X-Forwarded-Host: example.org"], "example.org", ("example.org", 80)),
        (["X-Forwarded-Host: example.org:8080"], "example.org:8080", ("example.org", 8080)),
        (["X-Forwarded-Host: [2001:db8::1]:81"], "[2001:db8::1]:81", ("2001:db8::1", 81)),
        (["X-Forwarded-Host: [2001:db8::1]"], "[2001:db8::1]", ("2001:db8::1", 80)),
        (["X-Forwarded-Host: a", "X-Forwarded-Proto: https"], "a", ("a", 443)),
        (["X-Forwarded-Host: a", "X-Forwarded-Port: 8443", "X-Forwarded-Proto: https"], "a:8443", ("a", 8443)),
        (["X-Forwarded-Host: a:1", "X-Forwarded-Port: 2"], "a:2", ("a", 2)),
        (["X-Forwarded-Host: a", "X-Forwarded-Port: 443", "X-Forwarded-Proto: https"], "a", ("a", 443)),
        (["X-Forwarded-Host: a:80"], "a", ("a", 80)),
        (["X-Forwarded-Port: 8443"], "h:8443", ("h", 8443)),
        (["X-Forwarded-Port: 80"], "h", ("h", 80)),
        (["X-Forwarded-Host: evil, a"], "a", ("a", 80)),
        (["X-Forwarded-Host: a, b", "X-Forwarded-For: 192.0.2.9, 10.0.0.2"], "a", ("a", 80)),
        (["X-Forwarded-Host: a/b"], "h", SERVER),
        (["X-Forwarded-Host: user@a"], "h", SERVER),
        (["X-Forwarded-Host: a:99999"], "h", SERVER),
        (["X-Forwarded-Host:"], "h", SERVER),
        (["X-Forwarded-Port: 0"], "h", SERVER),
        (["X-Forwarded-Port: 65536"], "h", SERVER),
        (["X-Forwarded-Port: http"], "h", SERVER),
        (["Forwarded: host=evil"], "h", SERVER),
    ],
)
def test_host_and_port(converse: Converse, fields: list[str], host: str, server: object) -> None:
    assert host_and_server(converse, *fields) == ([host.encode()], server)


def test_the_host_of_forwarded(converse: Converse) -> None:
    how = {**RFC7239, "forwarded_fields": ("for", "host")}
    text = 'Forwarded: for=192.0.2.9;host="a:8443";proto=https, for=10.0.0.2;host=b'
    assert host_and_server(converse, text, **how) == ([b"a:8443"], ("a", 8443))


def test_a_request_without_host_gets_the_one_of_the_proxy(converse: Converse) -> None:
    conversation = converse(**TRUSTED, **ALL)
    exchange = conversation.open(b"GET / HTTP/1.0\r\nX-Forwarded-Host: a\r\n\r\n")
    assert exchange.request.headers[0] == (b"host", b"a")
    exchange = converse(**TRUSTED, **ALL).open(b"GET / HTTP/1.0\r\nX-Forwarded-Port: 8443\r\n\r\n")
    assert exchange.connection.server == (SERVER[0], 8443)
    # The authority of the target precedes the fields, whose positions change with it.
    exchange = converse(**TRUSTED).open(b"GET http://a/ HTTP/1.0\r\nX-Some: a\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n")
    assert exchange.connection.client == ("192.0.2.9", 0)


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("/api", "/api"),
        ("/api/", "/api"),
        ("/api/v1.2/a-b_c~", "/api/v1.2/a-b_c~"),
        ("/evil, /api", "/api"),
        ("/", None),
        ("", None),
        ("api", None),
        ("//evil", None),
        ("/a/../b", None),
        ("/./a", None),
        ("/a%2fb", None),
        ("/a?b", None),
        ("/a b", None),
        ("https://evil/", None),
        ("/\\evil", None),
    ],
)
def test_the_prefix(converse: Converse, text: str, prefix: str | None) -> None:
    exchange = converse(**TRUSTED, **ALL).open(get("/", f"X-Forwarded-Prefix: {text}".encode()))
    assert exchange.prefix == prefix


def test_by_default_only_the_client_and_the_scheme_are_believed(converse: Converse) -> None:
    exchange = converse(**TRUSTED).open(get("/", *map(str.encode, FORGED[:5])))
    assert exchange.connection.client == ("1.1.1.1", 0)
    assert exchange.connection.scheme == "https"
    assert (exchange.connection.server, exchange.prefix) == (SERVER, None)
    assert exchange.request.headers[0] == (b"host", b"h")


def test_each_field_is_believed_by_itself(converse: Converse) -> None:
    found = {}
    for name in ALL["forwarded_fields"]:
        exchange = converse(**TRUSTED, forwarded_fields=(name,)).open(get("/", *map(str.encode, FORGED[:5])))
        info = exchange.connection
        assert info.client is not None
        found[name] = (info.client[0], info.scheme, info.server, exchange.request.headers[0][1], exchange.prefix)
    peer = PROXY[0]
    assert found == {
        "for": ("1.1.1.1", "http", SERVER, b"h", None),
        "proto": (peer, "https", SERVER, b"h", None),
        "host": (peer, "http", ("evil", 80), b"evil", None),
        "port": (peer, "http", ("h", 1), b"h:1", None),
        "prefix": (peer, "http", SERVER, b"h", "/evil"),
    }


def test_a_request_without_such_fields_shares_the_facts_of_its_connection(converse: Converse) -> None:
    conversation = converse(**TRUSTED)
    assert conversation.open(get("/", b"X-Some: a")).connection is conversation.connection.info
    conversation.answer()
    assert conversation.open(get("/", b"X-Real-IP: 192.0.2.9")).connection is conversation.connection.info


# ---------------------------------------------------------------- TLS


def test_facts_of_tls_are_those_of_the_connection(converse: Converse) -> None:
    facts = tls_facts()
    fields = (b"X-Forwarded-For: 192.0.2.9", b"X-Forwarded-Proto: http")
    connection = converse(**TRUSTED, https=True, tls=facts).open(get("/", *fields)).connection
    assert (connection.client, connection.scheme) == (("192.0.2.9", 0), "http")
    assert tls_facts_of(connection) is facts
    # Without TLS there are none, even if the client's own connection has it.
    connection = converse(**TRUSTED).open(get("/", b"X-Forwarded-Proto: https")).connection
    assert connection.scheme == "https"
    assert tls_facts_of(connection) is None
