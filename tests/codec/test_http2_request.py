"""From fields to requests: the rules of RFC 9113 section 8, and of RFC 8441."""

from typing import Any

import pytest

from ianus.codec.http2.hpack_recording import HpackRecorder
from tests.rows import for_each_row

from ..engine import limits
from .feeding import record
from .hpacking import GET, inserted, plain, recorder, request, verdict

Fields = list[tuple[bytes, bytes]]

METHOD, SCHEME, AUTHORITY, PATH = (
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":authority", b"h"),
    (b":path", b"/"),
)
USUAL = [METHOD, SCHEME, AUTHORITY, PATH]


def block(*fields: tuple[bytes, bytes]) -> bytes:
    return b"".join(plain(name, value) for name, value in fields)


def decode(*fields: tuple[bytes, bytes], ended: bool = True, decoder: HpackRecorder | None = None) -> dict[str, Any]:
    found = (decoder or recorder()).request(block(*fields), ended=ended)
    assert found is not None
    return found


def rejects(*fields: tuple[bytes, bytes], ended: bool = True) -> str:
    """Asserts that fields are malformed, as new ones and from the table. Returns the reason."""
    found = decode(*fields, ended=ended)
    assert (found["status"], found["malformed"]) == (400, True)
    decoder = recorder()
    for _ in range(2):
        again = decoder.request(b"".join(inserted(*field) for field in fields), ended=ended)
        assert again is not None
        assert (again["status"], again["reason"]) == (400, found["reason"])
    reason: str = found["reason"]
    return reason


def test_a_usual_request() -> None:
    found = decode(*USUAL[:3], (b":path", b"/a%20b/%E2%82%AC?q=%20"), (b"accept", b"*/*"), (b"x-own", b""))
    assert found == {
        "status": 0,
        "malformed": False,
        "reason": "",
        "method": "GET",
        "target": b"/a%20b/%E2%82%AC?q=%20",
        "path": "/a b/€",
        "raw_path": b"/a%20b/%E2%82%AC",
        "query_string": b"q=%20",
        "headers": [(b"host", b"h"), (b"accept", b"*/*"), (b"x-own", b"")],
        "http_version": "2",
        "protocol": None,
        "priority": None,
        "upgrade": False,
        "content_length": 0,
        "expect_continue": False,
        "forwarding": [],
    }


@for_each_row(
    "target",
    [b"/", b"/?", b"/??a", b"//a/../b", b"/%2e%2E/%252e", b"/%", b"/%4", b"/%zz%C3", b"/a;b|c", b"*"],
)
def test_a_target_is_parsed_as_that_of_http_1(target: bytes) -> None:
    method = b"OPTIONS" if target == b"*" else b"GET"
    (_, expected), _ = record([method + b" " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n"])
    found = decode((b":method", method), SCHEME, AUTHORITY, (b":path", target))
    for name in ("method", "target", "path", "raw_path", "query_string", "headers"):
        assert found[name] == expected[name]


@for_each_row("path", [b"", b"a", b"?a", b"http://h/", b"*", b"/#", b"/ ", b"/\x7f", b"/\xc3\xa4", b"/a b", b"\t/"])
def test_an_invalid_path(path: bytes) -> None:
    rejects(METHOD, SCHEME, AUTHORITY, (b":path", path))


@for_each_row("missing", range(4))
def test_each_pseudo_header_field_is_necessary(missing: int) -> None:
    rejects(*[field for field in USUAL if field is not USUAL[missing]])


@for_each_row("field", USUAL)
def test_a_repeated_pseudo_header_field(field: tuple[bytes, bytes]) -> None:
    assert rejects(*USUAL, field) == "repeated pseudo-header field"


@for_each_row("field", USUAL)
@for_each_row("other", [(b"x", b"1"), (b"cookie", b"a"), (b"te", b"trailers"), (b"content-length", b"0")])
def test_a_pseudo_header_field_after_another_field(field: tuple[bytes, bytes], other: tuple[bytes, bytes]) -> None:
    others = [each for each in USUAL if each is not field]
    assert rejects(*others, other, field) == "pseudo-header field after other fields"


def test_a_pseudo_header_field_after_a_host_that_is_dropped() -> None:
    assert rejects(METHOD, AUTHORITY, SCHEME, (b"host", b"h"), PATH) == "pseudo-header field after other fields"


def test_pseudo_header_fields_in_any_order() -> None:
    found = decode(*reversed(USUAL), (b"x", b"1"))
    assert (found["status"], found["headers"]) == (0, [(b"host", b"h"), (b"x", b"1")])


@for_each_row("name", [b":status", b":unknown", b":", b":Path", b":path "])
def test_an_unknown_pseudo_header_field(name: bytes) -> None:
    assert rejects(*USUAL, (name, b"1")) == "unknown pseudo-header field"


@pytest.mark.parametrize("scheme", [b"http", b"https", b"HTTPS"])
def test_schemes(scheme: bytes) -> None:
    assert decode(METHOD, (b":scheme", scheme), AUTHORITY, PATH)["status"] == 0


@for_each_row("scheme", [b"", b"ws", b"ftp", b"http,", b"https:", b" http"])
def test_schemes_that_are_not_served(scheme: bytes) -> None:
    rejects(METHOD, (b":scheme", scheme), AUTHORITY, PATH)


@for_each_row("method", [b"", b"G T", b"GET ", b"\xff"])
def test_an_invalid_method(method: bytes) -> None:
    rejects((b":method", method), SCHEME, AUTHORITY, PATH)


# ---- host and :authority ---------------------------------------------------------------------------------------------


@for_each_row("authority", [b"", b"user@h", b"h/", b"h:", b"h:80", b"[::1]:8080", b"h:x", b"a b", b"h?"])
def test_the_authority_is_a_host(authority: bytes) -> None:
    valid = authority in (b"h:", b"h:80", b"[::1]:8080")
    for fields in ([*USUAL[:2], (b":authority", authority), PATH], [METHOD, SCHEME, PATH, (b"host", authority)]):
        if valid:
            assert decode(*fields)["headers"] == [(b"host", authority)]
        else:
            rejects(*fields)


def test_the_host_of_a_request_is_its_first_field() -> None:
    found = decode(*USUAL, (b"a", b"1"), (b"host", b"h"), (b"b", b"2"))
    assert (found["status"], found["headers"]) == (0, [(b"host", b"h"), (b"a", b"1"), (b"b", b"2")])


@for_each_row(
    ("scheme", "authority", "host"),
    [
        (b"https", b"h", b"H"),
        (b"https", b"h", b"h:443"),
        (b"https", b"h:443", b"h"),
        (b"http", b"h:80", b"h"),
        (b"http", b"h", b"h:"),
        (b"http", b"[::A]", b"[::a]:80"),
        (b"https", b"h:8443", b"H:8443"),
    ],
)
def test_a_host_that_equals_the_authority(scheme: bytes, authority: bytes, host: bytes) -> None:
    """RFC 9113 section 8.3.1, after normalisation by the scheme."""
    found = decode(METHOD, (b":scheme", scheme), (b":authority", authority), PATH, (b"host", host))
    assert (found["status"], found["headers"]) == (0, [(b"host", authority)])


@for_each_row(
    ("scheme", "authority", "host"),
    [(b"https", b"h", b"h2"), (b"https", b"h", b"h:80"), (b"http", b"h", b"h:443"), (b"http", b"h:81", b"h")],
)
def test_a_host_that_differs_from_the_authority(scheme: bytes, authority: bytes, host: bytes) -> None:
    fields = [METHOD, (b":scheme", scheme), (b":authority", authority), PATH, (b"host", host)]
    assert rejects(*fields) == "Host differs from :authority"


def test_two_hosts() -> None:
    assert rejects(METHOD, SCHEME, PATH, (b"host", b"h"), (b"host", b"h")) == "more than one Host"
    assert rejects(*USUAL, (b"host", b"h"), (b"host", b"h")) == "more than one Host"


# ---- CONNECT ---------------------------------------------------------------------------------------------------------


def test_connect_is_not_supported() -> None:
    found = decode((b":method", b"CONNECT"), AUTHORITY)
    assert (found["status"], found["malformed"]) == (501, False)


@pytest.mark.parametrize("more", [[SCHEME], [PATH], [SCHEME, PATH]])
def test_connect_with_a_path_or_scheme_is_malformed(more: Fields) -> None:
    """RFC 9113 section 8.5"""
    assert rejects((b":method", b"CONNECT"), AUTHORITY, *more) == "malformed CONNECT"
    assert rejects((b":method", b"CONNECT"), *more) == "malformed CONNECT"


def test_an_extended_connect() -> None:
    found = decode((b":method", b"CONNECT"), (b":protocol", b"websocket"), *USUAL[1:], ended=False)
    assert found["status"] == 0
    assert (found["method"], found["protocol"], found["upgrade"]) == ("CONNECT", "websocket", True)
    assert found["content_length"] == -1


@pytest.mark.parametrize("missing", range(1, 4))
def test_an_extended_connect_has_all_pseudo_header_fields(missing: int) -> None:
    """RFC 8441 section 4"""
    rejects(
        (b":method", b"CONNECT"), (b":protocol", b"websocket"), *[each for each in USUAL[1:] if each != USUAL[missing]]
    )


def test_a_protocol_without_connect() -> None:
    assert rejects(*USUAL, (b":protocol", b"websocket")) == ":protocol without CONNECT"


# ---- fields ----------------------------------------------------------------------------------------------------------


@for_each_row(
    "name",
    [b"", b"X-Upper", b"x y", b"x:", b"x\0", b"\xe4", b"h\xc3\xb6st", b"Host", b"COOKIE", b"x-" + b"a" * 60 + b"B"],
)
def test_an_invalid_name(name: bytes) -> None:
    assert rejects(*USUAL, (name, b"1")) == "invalid field name"


@for_each_row("value", [b"a\r", b"a\n", b"\0", b"a\x01b", b"\x7f", b"x" * 40 + b"\r\nX: y"])
def test_control_characters_in_a_value(value: bytes) -> None:
    for name in (b"x", b"cookie", b":path", b":authority"):
        fields = [field for field in USUAL if field[0] != name]
        assert rejects(*((name, value), *fields) if name[:1] == b":" else (*fields, (name, value))) == (
            "control character in field value"
        )


@for_each_row("value", [b" a", b"a ", b"\ta", b"a\t", b" "])
def test_white_space_around_a_value(value: bytes) -> None:
    """RFC 9113 section 8.2.1"""
    assert rejects(*USUAL, (b"x", value)) == "white space around a field value"


def test_values_that_are_valid() -> None:
    fields = [(b"x", b""), (b"x", b"a\tb c"), (b"x", b"\x80\xff"), (b"x", b"a" * 4000)]
    assert decode(*USUAL, *fields)["headers"][1:] == fields


@for_each_row(
    "field",
    [
        (b"connection", b"close"),
        (b"connection", b""),
        (b"keep-alive", b"timeout=5"),
        (b"proxy-connection", b"keep-alive"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"),
        (b"te", b"gzip"),
        (b"te", b"trailers, gzip"),
        (b"te", b""),
    ],
)
def test_fields_about_a_connection(field: tuple[bytes, bytes]) -> None:
    """RFC 9113 section 8.2.2"""
    assert rejects(*USUAL, field) == "field for a connection of HTTP/1"


@pytest.mark.parametrize("field", [(b"te", b"trailers"), (b"te", b"Trailers"), (b"trailer", b"x-sum")])
def test_fields_about_trailers(field: tuple[bytes, bytes]) -> None:
    assert decode(*USUAL, field)["headers"][1:] == [field]


def test_cookies_become_one_field() -> None:
    """RFC 9113 section 8.2.3"""
    found = decode(*USUAL, (b"a", b"1"), (b"cookie", b"x=1"), (b"b", b"2"), (b"cookie", b"y=2"), (b"cookie", b"z"))
    assert found["headers"][1:] == [(b"a", b"1"), (b"cookie", b"x=1; y=2; z"), (b"b", b"2")]
    assert decode(*USUAL, (b"cookie", b"a; b"))["headers"][1:] == [(b"cookie", b"a; b")]


def test_the_positions_of_forwarding_fields() -> None:
    found = decode(*USUAL, (b"x", b"1"), (b"x-forwarded-for", b"192.0.2.1"), (b"host", b"h"), (b"forwarded", b"for=a"))
    assert [found["headers"][position][0] for position in found["forwarding"]] == [b"x-forwarded-for", b"forwarded"]
    alias = decode(*USUAL, (b"x_forwarded_for", b"192.0.2.1"))
    assert alias["forwarding"] == [1], "an alias in CGI and WSGI"


def test_the_priority_is_noted() -> None:
    assert decode(*USUAL, (b"priority", b"u=0, i"))["priority"] == b"u=0, i"


@for_each_row("value", [b"", b"-1", b"+1", b"1, 1", b"a", b"9223372036854775808"])
def test_an_invalid_content_length(value: bytes) -> None:
    assert rejects(*USUAL, (b"content-length", value), ended=False) == "invalid Content-Length"


def test_the_length_of_a_body() -> None:
    assert decode(*USUAL, ended=False)["content_length"] == -1
    assert decode(*USUAL, (b"content-length", b"7"), ended=False)["content_length"] == 7
    assert decode(*USUAL, (b"content-length", b"0"), ended=False)["content_length"] == 0
    assert decode(*USUAL, (b"content-length", b"0"))["content_length"] == 0
    assert rejects(*USUAL, (b"content-length", b"1")) == "Content-Length without a body"
    assert rejects(*USUAL, *[(b"content-length", b"1")] * 2, ended=False) == "more than one Content-Length"


def test_two_content_types() -> None:
    assert rejects(*USUAL, *[(b"content-type", b"text/plain")] * 2) == "more than one Content-Type"


def test_expectations() -> None:
    waits = decode(*USUAL, (b"expect", b"100-continue"), ended=False)
    assert (waits["status"], waits["expect_continue"]) == (0, True)
    assert decode(*USUAL, (b"expect", b"100-continue"))["expect_continue"] is False
    other = decode(*USUAL, (b"expect", b"other"), ended=False)
    assert (other["status"], other["malformed"]) == (417, False)


# ---- limits: the verdicts of HTTP/1 ----------------------------------------------------------------------------------


def statuses(fields: Fields, path: bytes, **values: int) -> tuple[int, int]:
    """The verdicts of both versions on the same request, 0 for a valid one."""
    bounds = limits(**values)
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in [(b"host", b"h"), *fields])
    event = record([b"GET " + path + b" HTTP/1.1\r\n" + lines + b"\r\n"], limits=bounds)[0]
    found = decode(*USUAL[:3], (b":path", path), *fields, decoder=recorder(bounds))
    assert not found["malformed"]
    return (event[1] if event[0] == "error" else 0), found["status"]


@pytest.mark.parametrize("over", [0, 1])
def test_the_limits_are_those_of_http_1(over: int) -> None:
    long_path = b"/" + b"p" * (64 - 14 + over)
    assert statuses([], long_path, limit_request_line=64) == (414 * over,) * 2
    long_field = [(b"x", b"v" * (64 - 3 + over))]
    assert statuses(long_field, b"/", limit_request_field_size=64) == (431 * over,) * 2
    many_bytes = [(b"x", b"v" * 20), (b"y", b"v" * (64 - 9 - 25 - 5 + over))]
    assert statuses(many_bytes, b"/", limit_request_fields_size=64) == (431 * over,) * 2
    many_fields = [(b"x", b"v")] * (3 + over)
    assert statuses(many_fields, b"/", limit_request_fields=4) == (431 * over,) * 2


def test_cookies_are_limited_as_one_field() -> None:
    bounds = limits(limit_request_fields=2, limit_request_field_size=64)
    crumbs = [(b"cookie", b"c" * 8)] * 5
    fits = decode(*USUAL, *crumbs, decoder=recorder(bounds))
    assert (fits["status"], len(fits["headers"])) == (0, 2)
    assert decode(*USUAL, *crumbs, crumbs[0], decoder=recorder(bounds))["status"] == 431


def test_a_request_over_a_limit_can_be_logged() -> None:
    found = decode(*USUAL[:3], (b":path", b"/logged"), *[(b"x", b"")] * 200)
    assert (found["status"], found["method"], found["target"]) == (431, "GET", b"/logged")


# ---- trailers --------------------------------------------------------------------------------------------------------


def test_trailers() -> None:
    fields = [(b"x-sum", b"1"), (b"grpc-status", b"0")]
    assert recorder().trailers(block(*fields)) == (fields, 0)


@for_each_row("field", [*USUAL, (b"host", b"h"), (b"content-length", b"1"), (b"transfer-encoding", b"a")])
def test_fields_that_are_not_trailers(field: tuple[bytes, bytes]) -> None:
    """RFC 9113 section 8.1, RFC 9110 section 6.5.1"""
    found = recorder().trailers(block(field))
    assert found is not None
    assert found[1] == 400


def test_a_section_starts_empty_after_another_request() -> None:
    decoder = recorder()
    decoder.request(block(*USUAL, (b"cookie", b"a"), (b"cookie", b"b"), (b"host", b"other")))
    assert verdict(decoder, GET)["reason"] == "neither :authority nor Host"
    assert verdict(decoder, request())["headers"] == [(b"host", b"h")]
