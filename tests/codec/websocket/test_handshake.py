"""The opening handshake (RFC 6455 4.2, RFC 7692 7.1), by the fields of a request."""

from types import SimpleNamespace
from typing import cast

import pytest

from ianus.codec.base import Request
from ianus.codec.websocket.deflate import Deflate
from ianus.codec.websocket.handshake import (
    HandshakeError,
    accept_value,
    asks_for_websocket,
    negotiate,
    subprotocols,
)
from tests.rows import for_each_row

Value = bytes | list[bytes] | None
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="


def request(
    *,
    method: str = "GET",
    listed: bool = True,
    content_length: int = 0,
    protocol: str | None = None,
    **changes: Value,
) -> Request:
    """A handshake that is right, with changes; None omits a field, a list repeats it.

    listed: Connection lists Upgrade. protocol: the pseudo-field of HTTP/2.
    """
    fields: dict[str, Value] = {
        "upgrade": b"websocket",
        "sec_websocket_key": KEY,
        "sec_websocket_version": b"13",
        **changes,
    }
    headers = [
        (name.replace("_", "-").encode(), value)
        for name, values in fields.items()
        if values is not None
        for value in (values if isinstance(values, list) else [values])
    ]
    made = SimpleNamespace(
        method=method, upgrade=listed, content_length=content_length, protocol=protocol, headers=headers
    )
    return cast(Request, made)


def tunnel(protocol: str = "websocket", **changes: Value) -> Request:
    """The same over HTTP/2 (RFC 8441 section 4)."""
    changes = {"upgrade": None, "sec_websocket_key": None, **changes}
    return request(method="CONNECT", listed=False, content_length=-1, protocol=protocol, **changes)


# --- Whether it is one ---


@for_each_row("value", [b"websocket", b"WebSocket", b"h2c,websocket", b" h2c , websocket ", [b"a", b"websocket"]])
def test_upgrade_names_websocket(value: Value) -> None:
    assert asks_for_websocket(request(upgrade=value))


@for_each_row("value", [None, b"", b"h2c", b"websockets", b"websocket/13", b"web socket"])
def test_upgrade_names_something_else(value: Value) -> None:
    assert not asks_for_websocket(request(upgrade=value))


def test_without_upgrade_in_connection_it_is_none() -> None:
    assert not asks_for_websocket(request(listed=False))


def test_over_http2_the_protocol_is_named_by_the_pseudo_field() -> None:
    assert asks_for_websocket(tunnel())
    assert not asks_for_websocket(tunnel("connect-udp"))


# --- Whether it is right ---


def test_the_key_is_answered() -> None:
    """The example of RFC 6455 1.3."""
    assert accept_value(request()) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_over_http2_there_is_no_key() -> None:
    """RFC 8441 section 5"""
    assert accept_value(tunnel()) == b""
    with pytest.raises(HandshakeError) as caught:
        accept_value(tunnel(sec_websocket_version=b"14"))
    assert caught.value.status == 426


def refusal(asked: Request) -> HandshakeError:
    with pytest.raises(HandshakeError) as caught:
        accept_value(asked)
    assert caught.value.detail
    return caught.value


@for_each_row("value", [None, b"", b"0", b"8", b"12", b"14", b"+13", b"013", b"13, 8", [b"13", b"13"]])
def test_another_version(value: Value) -> None:
    error = refusal(request(sec_websocket_version=value))
    assert error.status == 426
    assert error.fields == [(b"sec-websocket-version", b"13")]


@for_each_row(
    "value",
    [
        None,
        b"",
        b"x",
        KEY[:-1],
        KEY + b"=",
        KEY[:-4],
        KEY + KEY,
        KEY.replace(b"G", b"-"),
        KEY[:10] + b" " + KEY[11:],
        b"dGhlIHNhbXBsZSBub25jZSE=",
        b"\xff" * 24,
        [KEY, KEY],
    ],
)
def test_a_wrong_key(value: Value) -> None:
    error = refusal(request(sec_websocket_key=value))
    assert (error.status, error.fields) == (400, [])


@for_each_row("method", ["POST", "HEAD", "OPTIONS", "get"])
def test_another_method(method: str) -> None:
    error = refusal(request(method=method))
    assert (error.status, error.fields) == (405, [(b"allow", b"GET")])


@pytest.mark.parametrize("length", [1, -1], ids=["by length", "chunked"])
def test_a_body(length: int) -> None:
    assert refusal(request(content_length=length)).status == 400


# --- Subprotocols ---


@for_each_row(
    ("value", "offered"),
    [
        (None, []),
        (b"", []),
        (b"chat", ["chat"]),
        (b"chat, superchat", ["chat", "superchat"]),
        (b"Chat\t,,v1.json+x , ", ["Chat", "v1.json+x"]),
        ([b"a", b"b, c"], ["a", "b", "c"]),
    ],
)
def test_subprotocols(value: Value, offered: list[str]) -> None:
    assert subprotocols(request(sec_websocket_protocol=value)) == offered


@for_each_row("value", [b"caf\xc3\xa9", b"\xff", b"a b", b"a;b", b"a/b", b'"a"', b"ok, a@b"])
def test_subprotocols_that_are_no_tokens(value: bytes) -> None:
    """CVE-2026-42544: text that is not ASCII ended a worker."""
    with pytest.raises(HandshakeError) as caught:
        subprotocols(request(sec_websocket_protocol=value))
    assert caught.value.status == 400


# --- permessage-deflate ---


def negotiated(value: Value) -> tuple[bytes, Deflate] | None:
    return negotiate(request(sec_websocket_extensions=value), 6)


@for_each_row(
    ("offer", "answer"),
    [
        (b"permessage-deflate", b"permessage-deflate"),
        (b" permessage-deflate ", b"permessage-deflate"),
        (b"permessage-deflate; client_max_window_bits", b"permessage-deflate; client_max_window_bits=12"),
        (b"permessage-deflate;client_max_window_bits=15", b"permessage-deflate; client_max_window_bits=12"),
        (b"permessage-deflate; client_max_window_bits = 12", b"permessage-deflate; client_max_window_bits=12"),
        (b'permessage-deflate; client_max_window_bits="9"', b"permessage-deflate; client_max_window_bits=9"),
        (b'permessage-deflate; client_max_window_bits="\\1\\0"', b"permessage-deflate; client_max_window_bits=10"),
        (b"permessage-deflate; client_max_window_bits=8", b"permessage-deflate; client_max_window_bits=8"),
        (b"permessage-deflate; server_max_window_bits=15", b"permessage-deflate; server_max_window_bits=15"),
        (b"permessage-deflate; server_max_window_bits=9", b"permessage-deflate; server_max_window_bits=9"),
        (b"permessage-deflate; server_no_context_takeover", b"permessage-deflate; server_no_context_takeover"),
        (b"permessage-deflate; client_no_context_takeover", b"permessage-deflate; client_no_context_takeover"),
        (
            b"permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10",
            b"permessage-deflate; server_max_window_bits=10",
        ),
        (b"permessage-deflate; unknown, x-other; a=b, permessage-deflate", b"permessage-deflate"),
        ([b"permessage-deflate; client_max_window_bits=7", b"permessage-deflate"], b"permessage-deflate"),
    ],
)
def test_an_offer_is_accepted(offer: Value, answer: bytes) -> None:
    accepted = negotiated(offer)
    assert accepted is not None
    assert accepted[0] == answer


@for_each_row(
    "offer",
    [
        None,
        b"",
        b"x-webkit-deflate-frame",
        b"permessage-deflate; server_max_window_bits=8",
        b"permessage-deflate; server_max_window_bits",
        b"permessage-deflate; server_max_window_bits=7",
        b"permessage-deflate; server_max_window_bits=16",
        b"permessage-deflate; server_max_window_bits=010",
        b"permessage-deflate; client_max_window_bits=16",
        b"permessage-deflate; client_max_window_bits=-9",
        b"permessage-deflate; server_no_context_takeover=1",
        b"permessage-deflate; client_no_context_takeover=true",
        b"permessage-deflate; client_max_window_bits=10; client_max_window_bits=10",
        b"permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        b"permessage-deflate; mystery",
    ],
)
def test_an_offer_is_declined(offer: Value) -> None:
    assert negotiated(offer) is None


@for_each_row(
    "offer",
    [
        b"permessage-deflate;",
        b"permessage-deflate; =1",
        b"permessage-deflate; client_max_window_bits=",
        b'permessage-deflate; client_max_window_bits="',
        b'permessage-deflate; client_max_window_bits="1,0"',
        b'permessage-deflate; client_max_window_bits="1 0"',
        b"permessage deflate",
        b"permessage-deflate, ;",
        b"\xff",
    ],
)
def test_a_malformed_offer_is_refused(offer: bytes) -> None:
    with pytest.raises(HandshakeError) as caught:
        negotiated(offer)
    assert caught.value.status == 400


def test_the_parameters_of_compression() -> None:
    def how(offer: bytes) -> tuple[int, int, bool, bool, int]:
        accepted = negotiated(offer)
        assert accepted is not None
        deflate = accepted[1]
        return (
            deflate.server_bits,
            deflate.client_bits,
            deflate.server_takeover,
            deflate.client_takeover,
            deflate.ws_deflate_level,
        )

    assert how(b"permessage-deflate") == (12, 15, True, True, 6)
    assert how(b"permessage-deflate; client_max_window_bits") == (12, 12, True, True, 6)
    assert how(b"permessage-deflate; client_max_window_bits=9") == (12, 9, True, True, 6)
    assert how(b"permessage-deflate; server_max_window_bits=15") == (12, 15, True, True, 6)
    assert how(b"permessage-deflate; server_max_window_bits=9") == (9, 15, True, True, 6)
    assert how(b"permessage-deflate; server_no_context_takeover") == (12, 15, False, True, 6)
    assert how(b"permessage-deflate; client_no_context_takeover") == (12, 15, True, False, 6)
