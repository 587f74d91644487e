"""Response heads that repeat: they are encoded once, and never taken for one another."""

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from ianus.exchange.recording_exchange import RecordingGateway, make_head
from ianus.exchange.service import Service
from tests.engine import service as new_service
from tests.rows import for_each_row

Fields = list[tuple[bytes, bytes]]
PLAIN = [(b"content-type", b"text/plain"), (b"content-length", b"13")]


def service(**values: Any) -> Service:
    return new_service(RecordingGateway(), **{"date_header": False, "server_header": False, **values})


def fields(shared: Service, headers: Any, **how: Any) -> Fields:
    return make_head(shared, headers, **how)[2]


def is_cached(shared: Service, headers: Any, **how: Any) -> bool:
    """Whether the head is that of an earlier response, after it has occurred at least three times."""
    for _ in range(2):
        fields(shared, headers, **how)
    return fields(shared, headers, **how) is fields(shared, headers, **how)


def test_a_head_is_encoded_twice_at_most() -> None:
    shared = service()
    first, second, third = (fields(shared, list(PLAIN)) for _ in range(3))
    assert first == second == third == PLAIN
    assert first is not second
    assert second is third


def test_equal_strings_are_as_good_as_the_same_ones() -> None:
    shared = service()
    assert is_cached(shared, PLAIN)
    copies = [(bytes(bytearray(name)), bytes(bytearray(value))) for name, value in PLAIN]
    assert fields(shared, tuple(copies)) is fields(shared, PLAIN)


@for_each_row(
    "other",
    [
        [(b"content-typf", b"text/plain"), (b"content-length", b"13")],
        [(b"content-type", b"text/xlain"), (b"content-length", b"13")],
        [(b"content-type", b"text/plain"), (b"content-length", b"33")],
        [(b"content-type", b"text/plain"), (b"content-lengti", b"13")],
    ],
)
def test_a_head_of_the_same_sizes_is_another_one(other: Fields) -> None:
    shared = service()
    for _ in range(3):
        assert fields(shared, PLAIN) == PLAIN
        assert fields(shared, other) == other


def test_a_part_of_the_fields_is_another_head() -> None:
    shared = service()
    for _ in range(3):
        for count in range(3):
            assert fields(shared, PLAIN[:count]) == PLAIN[:count]


def test_status_and_reason_belong_to_the_head() -> None:
    shared = service()
    for _ in range(3):
        for status, reason in [(200, None), (200, b"Fine"), (201, None), (404, b"Fine")]:
            assert make_head(shared, PLAIN, status=status, reason=reason)[:3] == (status, reason, PLAIN)


def test_facts_of_a_cached_head() -> None:
    shared = service()
    given = [(b"content-type", b"text/event-stream"), (b"connection", b"close"), (b"content-length", b"7")]
    heads = [make_head(shared, given) for _ in range(4)]
    assert all(head[3] == {"content_length": 7, "close": True, "is_event_stream": True} for head in heads)
    assert heads[2][2] is heads[3][2]


def test_text_is_not_taken_for_bytes() -> None:
    shared = service()
    given = [("a", "1")]
    assert is_cached(shared, given, native=True)
    with pytest.raises(TypeError):
        fields(shared, given)
    with pytest.raises(TypeError):
        fields(shared, [(b"a", b"1")], native=True)


def test_a_trailer_field_passes_only_if_trailers_are_sent() -> None:
    shared = service()
    for _ in range(3):
        assert fields(shared, [(b"trailer", b"x-sum")], trailers=True) == [(b"trailer", b"x-sum")]
        assert fields(shared, [(b"trailer", b"x-sum")]) == []


@pytest.mark.parametrize(
    "pair", [(b"a", bytearray(b"1")), (bytearray(b"a"), b"1"), [b"a", b"1"]], ids=["value", "name", "list"]
)
def test_input_that_can_change_is_encoded_each_time(pair: Any) -> None:
    assert not is_cached(service(), [pair])


def test_a_name_that_changes_is_checked_again() -> None:
    shared = service()
    name = bytearray(b"a")
    for _ in range(4):
        assert fields(shared, [(name, b"1")]) == [(b"a", b"1")]
    name[:] = b"b"
    assert fields(shared, [(name, b"1")]) == [(b"b", b"1")]


def test_a_list_that_changes_is_compared_again() -> None:
    shared = service()
    headers = list(PLAIN)
    assert is_cached(shared, headers)
    headers[1] = (b"content-length", b"14")
    assert fields(shared, headers) == headers


def test_subclasses_are_encoded_each_time() -> None:
    class Text(str):
        __slots__ = ()

    assert not is_cached(service(), [("a", Text("1"))], native=True)


def test_heads_with_request_ids_are_encoded_each_time() -> None:
    shared = service(request_id_header="x-id")
    for number in range(3):
        assert fields(shared, PLAIN, request_id=b"%d" % number) == [*PLAIN, (b"x-id", b"%d" % number)]


def test_refused_fields_are_refused_each_time() -> None:
    shared = service()
    for _ in range(4):
        with pytest.raises(ValueError, match="has a control character"):
            fields(shared, [(b"a", b"1\n")])


def test_large_heads_are_not_kept() -> None:
    assert not is_cached(service(), [(b"a", b"x" * 3000)])
    assert not is_cached(service(), [(b"a", b"1")] * 33)


def test_more_heads_than_are_kept() -> None:
    shared = service()
    for _ in range(3):
        for number in range(1000):
            assert fields(shared, [(b"content-length", b"%d" % number)]) == [(b"content-length", b"%d" % number)]


def test_a_cached_head_gets_the_date_of_the_next_second() -> None:
    shared = service(date_header=True)

    def date() -> datetime:
        return parsedate_to_datetime(dict(fields(shared, PLAIN))[b"date"].decode())

    first = date()
    # A busy loop of at most a second.
    following = next(each for each in iter(date, None) if each != first)
    assert following > first


def test_a_date_of_the_application_stays() -> None:
    given = [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")]
    shared = service(date_header=True)
    for _ in range(4):
        assert fields(shared, given) == given
