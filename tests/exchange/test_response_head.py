"""Fields of responses: those that are refused, dropped, added, and those that the server understands."""

import logging
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

import pytest

from ianus.exchange.recording_exchange import RecordingGateway, make_head, make_hints
from ianus.exchange.service import Service
from tests.engine import service as new_service
from tests.rows import for_each_row

Fields = list[tuple[bytes, bytes]]


def bare_service(**values: Any) -> Service:
    """A service that adds no field."""
    return new_service(RecordingGateway(), **{"date_header": False, "server_header": False, **values})


def fields(headers: Any, service: Service | None = None, **how: Any) -> Fields:
    return make_head(service or bare_service(), headers, **how)[2]


def facts(*headers: tuple[bytes, bytes], **how: Any) -> dict[str, Any]:
    return make_head(bare_service(), headers, **how)[3]


# ---------------------------------------------------------------- types


@for_each_row(
    "headers",
    [
        [(b"a", b"1"), (b"b", b"2")],
        ((b"a", b"1"), (b"b", b"2")),
        [[b"a", b"1"], [b"b", b"2"]],
        [(bytearray(b"a"), memoryview(b"1")), (b"b", bytearray(b"2"))],
        {b"a": b"1", b"b": b"2"}.items(),
        iter([(b"a", b"1"), iter([b"b", b"2"])]),
    ],
    ids=["list", "tuple", "lists", "buffers", "items", "iterators"],
)
def test_fields_may_have_several_types(headers: Any) -> None:
    assert fields(headers) == [(b"a", b"1"), (b"b", b"2")]


def test_fields_keep_their_case_and_their_order() -> None:
    given = [(b"Set-Cookie", b"a"), (b"X-Some", b""), (b"set-cookie", b"b")]
    assert fields(given) == given


def test_names_may_be_long() -> None:
    given = [(b"X-" + b"a" * 1000, b"1")]
    assert fields(given) == given


def test_many_fields_are_sent() -> None:
    given = [(b"x-%d" % number, b"%d" % number) for number in range(100)]
    assert fields(given) == given


@for_each_row(
    ("pair", "error", "text"),
    [
        (("a", b"1"), TypeError, "response header names and values are bytes, not str: 'a'"),
        ((b"a", "1"), TypeError, "response header names and values are bytes, not str: '1'"),
        ((b"a", 1), TypeError, "response header names and values are bytes, not int: 1"),
        ((b"a", None), TypeError, "response header names and values are bytes, not NoneType: None"),
        ((b"a",), ValueError, "a response header is a pair of name and value"),
        ((b"a", b"1", b"2"), ValueError, "a response header is a pair of name and value"),
        ((b"", b"1"), ValueError, "empty response header name"),
        ((b"a b", b"1"), ValueError, "response header name 'a b' is not a token"),
        ((b"a:", b"1"), ValueError, "response header name 'a:' is not a token"),
        ((b"x" * 100 + b"\n", b"1"), ValueError, f"response header name '{'x' * 100}\\n' is not a token"),
    ],
)
def test_fields_of_a_wrong_form_are_refused(pair: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        fields([(b"fine", b"1"), pair])
    assert str(raised.value) == text


@for_each_row("character", [b"\r", b"\n", b"\0", b"\x7f", b"\x01"])
def test_a_control_character_splits_no_response(character: bytes) -> None:
    with pytest.raises(ValueError, match=r"^response header 'x-some' has a control character in its value 'a.+b'$"):
        fields([(b"x-some", b"a" + character + b"b")])


def test_values_may_have_tabs_and_bytes_beyond_ascii() -> None:
    given = [(b"x-some", b"a\tb \xff")]
    assert fields(given) == given


# ---------------------------------------------------------------- str of Latin-1, as WSGI has it


def test_native_fields_are_latin_1() -> None:
    assert fields([("X-Some", "caf\xe9")], native=True) == [(b"X-Some", b"caf\xe9")]


def test_native_fields_may_be_subclasses_of_tuple() -> None:
    class Pair(tuple[str, str]):
        pass

    assert fields([Pair(("a", "1"))], native=True) == [(b"a", b"1")]


@for_each_row(
    ("pair", "error", "text"),
    [
        (["a", "1"], TypeError, "response headers are tuples of name and value, not list"),
        ((b"a", "1"), TypeError, "response header names and values are str, not bytes: b'a'"),
        (("a", 1), TypeError, "response header names and values are str, not int: 1"),
        (("a", "\u20ac"), ValueError, "response header 'a' has a character beyond Latin-1: '\u20ac'"),
        (("a\n", "1"), ValueError, "response header name 'a\\n' is not a token"),
        (("a", "1\r\n"), ValueError, "response header 'a' has a control character in its value '1\\r\\n'"),
    ],
)
def test_native_fields_of_a_wrong_form_are_refused(pair: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        fields([pair], native=True)
    assert str(raised.value) == text


# ---------------------------------------------------------------- fields of the server


@for_each_row(
    ("name", "value"),
    [
        (b"Connection", b"upgrade"),
        (b"Transfer-Encoding", b"gzip"),
        (b"Upgrade", b"h2c"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Proxy-Connection", b"close"),
        (b"Trailer", b"x-sum"),
        (b"TE", b"trailers"),
    ],
)
def test_hop_by_hop_fields_are_dropped(name: bytes, value: bytes) -> None:
    assert fields([(b"a", b"1"), (name, value), (b"b", b"2")]) == [(b"a", b"1"), (b"b", b"2")]


def test_a_warning_names_each_dropped_field_once(caplog: pytest.LogCaptureFixture) -> None:
    service = bare_service()
    for _ in range(2):
        fields([(b"Upgrade", b"h2c"), (b"TE", b"a")], service)
    assert caplog.messages == [
        f"dropped hop-by-hop response header {name!r} of application: the server frames messages and manages"
        " connections itself"
        for name in ("upgrade", "te")
    ]


def test_usual_fields_of_event_streams_are_dropped_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    given = [(b"Connection", b"Keep-Alive"), (b"Transfer-Encoding", b"chunked"), (b"Keep-Alive", b"timeout=5")]
    assert fields(given) == []
    assert caplog.messages == []


def test_a_trailer_field_passes_if_trailers_are_sent() -> None:
    assert fields([(b"Trailer", b"x-sum")], trailers=True) == [(b"Trailer", b"x-sum")]


@pytest.mark.parametrize("value", [b"close", b"Close", b"keep-alive, close"])
def test_close_is_a_fact(value: bytes) -> None:
    assert facts((b"Connection", value))["close"]
    assert fields([(b"connection", value)]) == []


def test_other_values_of_connection_do_not_close() -> None:
    assert not facts((b"connection", b"closed"))["close"]


@for_each_row(
    ("value", "is_event_stream"),
    [
        (b"text/event-stream", True),
        (b"Text/Event-Stream; charset=utf-8", True),
        (b"text/event-strea", False),
        (b"text/plain", False),
    ],
)
def test_event_streams_are_recognised(value: bytes, is_event_stream: bool) -> None:
    assert facts((b"Content-Type", value))["is_event_stream"] is is_event_stream


# ---------------------------------------------------------------- the length of the body


@pytest.mark.parametrize(("value", "length"), [(b"0", 0), (b"00012", 12), (b"9" * 18, 10**18 - 1)])
def test_a_content_length_is_a_fact(value: bytes, length: int) -> None:
    assert facts((b"Content-Length", value))["content_length"] == length
    assert facts()["content_length"] == -1


@for_each_row("value", [b"", b"-1", b"+1", b"1 ", b"0x1", b"1.0", b"9" * 19, b"1\xb2"])
def test_a_content_length_is_a_number(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"^response content-length '.*' is not a number of bytes$"):
        facts((b"content-length", value))


def test_there_is_one_content_length() -> None:
    with pytest.raises(ValueError, match=r"^response has more than one content-length$"):
        facts((b"content-length", b"1"), (b"content-length", b"1"))


def test_a_204_has_no_content_length() -> None:
    status, _, sent, known = make_head(bare_service(), [(b"content-length", b"0")], status=204)
    assert (status, sent, known["content_length"]) == (204, [], 0)


# ---------------------------------------------------------------- fields that the server adds


def test_date_and_server_are_added() -> None:
    before = int(time()) - 1  # The time() of C reads a clock that is some milliseconds late.
    *rest, (date_name, date), server = fields([(b"a", b"1")], new_service(RecordingGateway()))
    assert rest == [(b"a", b"1")]
    assert server == (b"server", b"ianus")
    assert date_name == b"date"
    assert date.endswith(b" GMT")
    assert before <= parsedate_to_datetime(date.decode()).timestamp() <= time()


def test_fields_of_the_application_are_not_added_again() -> None:
    given = [(b"Date", b"today"), (b"Server", b"mine")]
    assert fields(given, new_service(RecordingGateway())) == given


def test_extra_fields_are_added() -> None:
    service = bare_service(header=((b"X-Extra", b"1"), (b"Server", b"mine")), server_header=True)
    assert fields([(b"a", b"1")], service) == [(b"a", b"1"), (b"X-Extra", b"1"), (b"Server", b"mine")]


def test_many_extra_fields_are_added() -> None:
    extra = tuple((b"x-%d" % number, b"") for number in range(70))
    assert fields([], bare_service(header=extra)) == list(extra)


def test_the_id_of_the_request_is_added() -> None:
    service = bare_service(request_id_header="x-request-id")
    assert fields([], service, request_id=b"id") == [(b"x-request-id", b"id")]
    assert fields([(b"X-Request-ID", b"own")], service, request_id=b"id") == [(b"X-Request-ID", b"own")]
    assert fields([(b"x-request-iq", b"")], service, request_id=b"id")[1:] == [(b"x-request-id", b"id")]


def test_a_reason_is_passed_on() -> None:
    assert make_head(bare_service(), (), status=299, reason=b"Fine")[:2] == (299, b"Fine")


# ---------------------------------------------------------------- early hints


def test_hints_are_fields() -> None:
    assert make_hints([(b"link", b"</a>"), (bytearray(b"link"), b"</b>")]) == [(b"link", b"</a>"), (b"link", b"</b>")]
    assert make_hints([]) == []


@for_each_row("name", [b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"upgrade"])
def test_hints_have_no_framing(name: bytes) -> None:
    with pytest.raises(ValueError, match=rf"^{name!r} cannot be an early hint$"):
        make_hints([(b"link", b"</a>"), (name, b"1")])


@pytest.mark.parametrize(
    ("pair", "error"),
    [((b"link", b"a\nb"), ValueError), ((b"li nk", b"a"), ValueError), ((b"link", "a"), TypeError)],
)
def test_hints_of_a_wrong_form_are_refused(pair: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        make_hints([pair])


@pytest.fixture(autouse=True)
def _all_warnings(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.WARNING):
        yield
