"""The codec and the `websockets` library read the same messages from the same bytes, but for the listed differences."""

import random
from collections.abc import Iterator

import pytest

from . import oracle
from .feeding import BINARY, CLOSE, PING, PONG, RSV1, TEXT, Event, compressed, fragments, frame, new_deflate, record

CASES = 2000
MAX_SIZE = 2000

# Errors that only one of both reports, by its text, and why.
WE_REFUSE = {
    "length not in its shortest form": "RFC 6455 5.2: the minimal number of bytes MUST be used",
}
THEY_REFUSE = {
    "incomplete fragmented message": "RFC 6455 5.4: control frames MAY be in the middle of a message; close is one",
}
# Errors that both report with different codes, by our text: our code, theirs, and why.
ANOTHER_CODE = {
    "close code that must not be sent": (1002, 1007, "the reason is wrong, too: any of both may be said"),
}


def conversations(seed: int) -> Iterator[tuple[bytes, bool]]:
    """Bytes of clients, and whether they are compressed; those not compressed are not always valid.

    Wrong DEFLATE is left out: the library reads nothing more after the end of a stream, which a changed bit may be.
    """
    yield frame(BINARY, b"", length=b"\x7e\x00\x00"), False
    yield frame(TEXT, fin=False) + frame(CLOSE), False
    yield frame(CLOSE, b"\x03\xee\xff"), False
    choices = random.Random(seed)
    for _ in range(CASES):
        deflate = choices.random() < 0.4
        data = b"".join(_messages(choices, deflate))
        if choices.random() < 0.3:
            data += frame(
                CLOSE, choices.choice([b"", b"\x03\xe8", b"\x03\xe8bye", b"\x03", b"\x03\xee", b"\x03\xe8\xff"])
            )
        changed = bytearray(data)
        for _ in range(0 if deflate else choices.choice([0, 1, 1, 2])):
            position = choices.randrange(len(changed))
            match choices.randrange(3):
                case 0:
                    changed[position] = choices.randrange(256)
                case 1:
                    changed[position] ^= 1 << choices.randrange(8)
                case 2:
                    del changed[position]
        yield bytes(changed), deflate


def _messages(choices: random.Random, deflate: bool) -> Iterator[bytes]:
    payloads = []
    for _ in range(choices.randrange(1, 5)):
        word = choices.choice(["a", "Hello", "κόσμε", "€uro ", "\U0001f600", ""])
        payloads.append((word * choices.choice([0, 1, 2, 26, 70, 300])).encode())
    for payload, small in zip(payloads, compressed(*payloads) if deflate else payloads, strict=True):
        is_text = payload or choices.random() < 0.5
        opcode = TEXT if is_text and choices.random() < 0.7 else BINARY
        count = choices.choice([1, 1, 2, 3])
        cuts = sorted(choices.randrange(len(small) + 1) for _ in range(count - 1))
        pieces = [small[start:end] for start, end in zip([0, *cuts], [*cuts, len(small)], strict=True)]
        yield fragments(opcode, *pieces, rsv=RSV1 if deflate else 0)
        if choices.random() < 0.3:
            yield frame(choices.choice([PING, PONG]), b"p" * choices.randrange(6))


@pytest.mark.slow
def test_the_same_bytes_are_the_same_messages() -> None:
    seen: set[str] = set()
    refused = 0
    for data, deflate in conversations(6455):
        events = record([data], ws_max_size=MAX_SIZE, deflate=new_deflate() if deflate else None, reasons=True)
        theirs = oracle.read(data, max_size=MAX_SIZE, deflate=deflate)
        ours, reason = _without_reason(events)
        refused += bool(reason)
        seen.add(_difference(ours, reason, theirs))
    assert refused > CASES / 10
    assert seen - {""} == {*WE_REFUSE, *THEY_REFUSE, *ANOTHER_CODE}, "what is listed does not occur"


def _difference(ours: list[Event], reason: str, theirs: oracle.Reading) -> str:
    """The words of the listed difference, "" for none. Raises AssertionError for another one."""
    if ours == theirs.events:
        return ""
    context = f"{ours}, {reason!r}; {theirs}"
    if not reason:
        assert theirs.reason in THEY_REFUSE, context
        assert ours[-1][0] == "close", context
        assert theirs.events[:-1] == ours[:-1], context
        return theirs.reason
    assert theirs.events[: len(ours) - 1] == ours[:-1], context
    if reason in WE_REFUSE:
        return reason
    if theirs.reason:
        assert reason in ANOTHER_CODE, context
        code, their_code, _ = ANOTHER_CODE[reason]
        assert ours[-1] == ("error", code), context
        assert theirs.events[len(ours) - 1 :] == [("error", their_code)], context
        return reason
    # The library checks a frame when all of it is received, our codec at the first wrong byte.
    assert len(theirs.events) == len(ours) - 1, context
    return ""


def _without_reason(events: list[Event]) -> tuple[list[Event], str]:
    if events and events[-1][0] == "error":
        return [*events[:-1], events[-1][:2]], events[-1][2]
    return events, ""


@pytest.mark.slow
@pytest.mark.parametrize("deflate", [False, True])
def test_each_conversation_is_the_same_in_pieces(deflate: bool) -> None:
    choices = random.Random(7692)
    for data, compresses in conversations(7692):
        if compresses is deflate:
            cuts = sorted(choices.randrange(len(data) + 1) for _ in range(5))
            pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
            whole = record([data], ws_max_size=MAX_SIZE, deflate=new_deflate() if deflate else None)
            assert record(pieces, ws_max_size=MAX_SIZE, deflate=new_deflate() if deflate else None) == whole
