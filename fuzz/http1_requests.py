"""Contract: for any bytes in any pieces, the codec of requests reports the same well-formed events.

Well-formed: a request, its body, its trailers, its end, in this order; each part keeps to the grammar that applications
rely on; no event follows an error, nor a request after which the connection closes.
"""

import random
import re
import zlib
from collections.abc import Iterable
from typing import Any

from ianus.codec.limits import Limits
from ianus.codec.recording import record
from ianus.process.worker.stack import build_limits
from ianus.settings.schema import Settings

Event = tuple[Any, ...]

# So tight that every limit is met by inputs of a size that a fuzzer likes.
DEFAULT = build_limits(Settings())
TIGHT = Limits(
    limit_request_line=32,
    limit_request_field_size=32,
    limit_request_fields_size=96,
    limit_request_fields=4,
    max_request_body_size=16,
)

ORDER = re.compile(
    r"(request (body )?(trailers )?end )*"  # whole messages
    r"(request (body )?(trailers )?)?(error |incomplete )?"  # one that breaks off
)
METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
TARGET = re.compile(rb"[!-~]+")
NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
VALUE = re.compile(rb"([!-~\x80-\xff]([\t -~\x80-\xff]*[!-~\x80-\xff])?)?")


def seeds() -> Iterable[bytes]:
    from tests.conformance.corpus import seeds

    return seeds()


def check(data: bytes) -> None:
    for limits in (DEFAULT, TIGHT):
        events = record([data], limits=limits, eof=True)
        check_events(events)
        assert record([data[i : i + 1] for i in range(len(data))], limits=limits, eof=True) == events, "byte by byte"
        assert record(pieces(data), limits=limits, eof=True) == events, "in pieces"


def pieces(data: bytes) -> list[bytes]:
    """A way to cut the data that changes with it, but is the same for the same data."""
    choices = random.Random(zlib.crc32(data))
    cuts = sorted(choices.randrange(len(data) + 1) for _ in range(choices.randrange(1, 6)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def check_events(events: list[Event]) -> None:
    order = "".join(f"{event[0]} " for event in events)
    assert ORDER.fullmatch(order), order
    keep_alive = True
    length = received = 0
    for event in events:
        match event:
            case ("request", head):
                assert keep_alive, "a request after one that closes"
                check_head(head)
                fields = dict(head["headers"])
                keep_alive = head["keep_alive"]
                chunked = b"transfer-encoding" in fields
                length, received = int(fields.get(b"content-length", b"0")), 0
            case ("body", body):
                assert body
                received = len(body)
                assert chunked or received <= length
            case ("trailers", fields):
                assert chunked
                check_fields(fields)
            case ("end",):
                assert chunked or received == length
            case ("error", status):
                assert status in (400, 413, 414, 417, 431, 501, 505)


def check_head(head: dict[str, Any]) -> None:
    assert METHOD.fullmatch(head["method"])
    assert TARGET.fullmatch(head["target"])
    assert TARGET.fullmatch(head["raw_path"])
    assert head["path"][0] in "/*"
    head["path"].encode()  # no surrogates
    assert head["http_version"] in ("1.0", "1.1")
    names = [name for name, _ in head["headers"]]
    check_fields(head["headers"])
    assert names.count(b"host") == 1 or (head["http_version"] == "1.0" and b"host" not in names)
    assert sum(names.count(name) for name in (b"content-length", b"transfer-encoding")) <= 1


def check_fields(fields: list[tuple[bytes, bytes]]) -> None:
    for name, value in fields:
        assert NAME.fullmatch(name)
        assert VALUE.fullmatch(value)
