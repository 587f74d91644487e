"""The outbox of a WSGI call, without a connection."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ianus.gateway.threads.pool_call import PoolCall
from ianus.gateway.threads.recording import RecordingExecutor
from ianus.gateway.wsgi.recording import RecordingOutbox

LIMIT = 100


class Sides:
    """An outbox, and the reaction of the connection's side to its notices.

    reads: the client reads all output at once. on_wait: called when the application's side waits for the client.
    """

    def __init__(self, *, reads: bool) -> None:
        self.reads = reads
        self.on_wait: Callable[[], object] = self.client_reads
        self.waits = 0
        self.executor = RecordingExecutor(on_notify=self._on_notify, on_wait=self._wait)
        self.outbox = RecordingOutbox(self.executor, limit=LIMIT)

    def client_reads(self) -> None:
        self.outbox.note_read(0)

    def _on_notify(self, call: PoolCall) -> None:
        assert call is self.outbox
        assert self.executor.is_locked
        self.outbox.take()
        if self.reads:
            self.outbox.note_read(0)

    def _wait(self) -> None:
        assert not self.executor.is_locked
        self.waits += 1
        assert self.waits < 100, "the wait was not ended"
        self.on_wait()

    @property
    def pieces(self) -> list[bytes | int]:
        return [piece for output in self.outbox.outputs for piece in output[3]]


@pytest.fixture
def sides() -> Sides:
    return Sides(reads=True)


@pytest.fixture
def outbox(sides: Sides) -> RecordingOutbox:
    return sides.outbox


def test_head_and_last_piece_are_taken_together(outbox: RecordingOutbox) -> None:
    outbox.start()
    outbox.declare(5)
    outbox.keep_last(b"whole")
    assert outbox.outputs == []
    outbox.end_call()
    assert outbox.outputs == [(None, 200, 5, [b"whole"], {"end", "returned"})]


def test_the_head_is_taken_with_the_first_block(outbox: RecordingOutbox) -> None:
    outbox.start()
    outbox.send(b"one")
    outbox.send(b"two")
    outbox.end_call()
    assert outbox.outputs == [
        (None, 200, -1, [b"one"], set()),
        (None, None, -1, [b"two"], set()),
        (None, None, -1, [], {"end", "returned"}),
    ]


def test_several_pieces_are_taken_in_their_order() -> None:
    taken: list[RecordingOutbox] = []
    executor = RecordingExecutor(on_notify=lambda call: None, on_wait=lambda: taken[0].note_read(0))
    outbox = RecordingOutbox(executor, limit=LIMIT)
    taken.append(outbox)
    outbox.start()
    for block in (b"1", b"2", b"3"):
        outbox.send(block)
    outbox.end_call()
    outbox.take()
    assert outbox.outputs == [(None, 200, -1, [b"1", b"2", b"3"], {"end", "returned"})]


def test_a_head_can_be_replaced_before_the_body(outbox: RecordingOutbox) -> None:
    outbox.start(200)
    outbox.start(500)
    outbox.end_call()
    assert [output[1] for output in outbox.outputs] == [500]


def test_empty_blocks_are_not_put(outbox: RecordingOutbox) -> None:
    outbox.start()
    outbox.send(b"")
    assert outbox.outputs == []
    assert outbox.accepts_more


def test_hints_are_taken_before_the_head(outbox: RecordingOutbox) -> None:
    outbox.hint("hint")
    assert outbox.outputs == [(["hint"], None, -1, [], set())]


def test_a_body_without_a_head_is_an_error(outbox: RecordingOutbox) -> None:
    with pytest.raises(RuntimeError, match=r"^the application returned a body before it called start_response\(\)$"):
        outbox.send(b"body")


@pytest.mark.parametrize("block", ["text", bytearray(b"bytes"), None])
def test_blocks_are_bytes(outbox: RecordingOutbox, block: object) -> None:
    outbox.start()
    with pytest.raises(TypeError, match=f"^response body is an iterable of bytes, not of {type(block).__name__}$"):
        outbox.send(block)


# ---- the declared length


def test_the_last_declared_byte_ends_the_response(outbox: RecordingOutbox) -> None:
    outbox.start(content_length=6)
    outbox.send(b"one")
    assert outbox.accepts_more
    outbox.send(b"two")
    assert outbox.outputs[-1] == (None, None, -1, [b"two"], {"end"})
    assert not outbox.accepts_more
    outbox.end_call()
    assert outbox.reports == []


def test_a_longer_body_is_cut_and_reported_once(sides: Sides, outbox: RecordingOutbox) -> None:
    outbox.start(content_length=5)
    for block in (b"one", b"two", b"three"):
        outbox.send(block)
    outbox.end_call()
    assert sides.pieces == [b"one", b"tw"]
    assert outbox.reports == ["response body is longer than its content-length (5); the rest is dropped"]
    assert not any("failed" in output[4] for output in outbox.outputs)


def test_a_shorter_body_fails(sides: Sides, outbox: RecordingOutbox) -> None:
    outbox.start(content_length=5)
    outbox.send(b"one")
    outbox.end_call()
    assert sides.pieces == [b"one"]
    assert outbox.outputs[-1][4] == {"failed", "returned"}
    assert outbox.reports == ["response body is shorter than its content-length (5): 3 bytes"]


def test_a_declared_length_precedes_a_computed_one(outbox: RecordingOutbox) -> None:
    outbox.start(content_length=4)
    outbox.declare(5)
    outbox.keep_last(b"whole")
    outbox.end_call()
    assert outbox.outputs == [(None, 200, -1, [b"whol"], {"end", "returned"})]


def test_a_response_without_a_body_has_none(outbox: RecordingOutbox) -> None:
    outbox.start(304, content_length=1000, no_body=True)
    outbox.send(b"body")
    outbox.end_call()
    assert outbox.outputs[0] == (None, 304, -1, [b""], {"end"})
    assert outbox.reports == []


@pytest.mark.parametrize(("declared", "sent"), [(-1, 8), (5, 5)])
def test_of_a_file_at_most_the_declared_length_is_sent(
    sides: Sides, outbox: RecordingOutbox, tmp_path: Path, declared: int, sent: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    outbox.start(content_length=declared)
    outbox.keep_file(os.open(path, os.O_RDONLY), 2, 8)
    outbox.end_call()
    assert sides.pieces == [sent]


# ---- failures and the end


def test_an_error_after_a_part_of_the_body_fails_the_response(outbox: RecordingOutbox) -> None:
    outbox.start()
    outbox.send(b"part")
    outbox.raise_error()
    outbox.end_call()
    assert outbox.outputs[-1] == (None, None, -1, [], {"failed", "returned"})


def test_an_error_discards_the_piece_that_was_kept(sides: Sides, outbox: RecordingOutbox) -> None:
    outbox.start()
    outbox.keep_last(b"kept")
    outbox.raise_error()
    outbox.end_call()
    assert outbox.outputs == [(None, None, -1, [], {"failed", "returned"})]


def test_an_error_after_the_end_does_not_fail_the_response(outbox: RecordingOutbox) -> None:
    outbox.start(content_length=4)
    outbox.send(b"body")
    outbox.raise_error()
    outbox.end_call()
    assert not any("failed" in output[4] for output in outbox.outputs)


def test_the_body_can_end_before_the_call(outbox: RecordingOutbox) -> None:
    outbox.start()
    outbox.keep_last(b"whole")
    outbox.end()
    assert outbox.outputs == [(None, 200, -1, [b"whole"], {"end"})]
    outbox.end()
    outbox.end_call()
    assert outbox.outputs[1:] == [(None, None, -1, [], {"returned"})]


# ---- the client


def test_the_application_waits_while_the_client_does_not_read() -> None:
    sides = Sides(reads=False)
    outbox = sides.outbox
    outbox.start()
    outbox.send(bytes(LIMIT))
    assert sides.waits == 0
    outbox.send(b"x")
    assert sides.waits == 1
    assert sides.executor.resumed == 1
    assert outbox.unsent == 0


def test_it_waits_until_half_of_the_limit_is_left() -> None:
    sides = Sides(reads=False)
    outbox = sides.outbox
    left = iter((LIMIT + 1, LIMIT // 2 + 1, LIMIT // 2))

    def read_slowly() -> None:
        resumed = sides.executor.resumed
        while sides.executor.resumed == resumed:
            outbox.note_read(next(left))

    sides.on_wait = read_slowly
    outbox.start()
    outbox.send(bytes(2 * LIMIT))
    assert (sides.waits, outbox.unsent) == (1, LIMIT // 2)


def test_bytes_that_were_not_taken_count_as_unsent() -> None:
    executor = RecordingExecutor(on_notify=lambda call: None, on_wait=lambda: None)
    outbox = RecordingOutbox(executor, limit=LIMIT)
    outbox.start()
    outbox.send(b"12345")
    outbox.note_read(0)
    assert outbox.unsent == 5
    outbox.take()
    outbox.note_read(0)
    assert outbox.unsent == 0


def test_it_does_not_wait_after_the_end() -> None:
    sides = Sides(reads=False)
    outbox = sides.outbox
    outbox.start(content_length=LIMIT)
    outbox.send(bytes(LIMIT))
    assert (sides.waits, outbox.unsent) == (0, LIMIT)
    assert outbox.outputs[-1][4] == {"end"}


def test_the_end_of_a_large_piece_waits_until_the_client_has_read() -> None:
    """At most the limit is unsent after it. The piece itself is neither cut nor copied."""
    sides = Sides(reads=False)
    outbox = sides.outbox
    piece = bytes(2 * LIMIT + 50)
    sides.on_wait = lambda: outbox.note_read(LIMIT // 2)
    outbox.start(content_length=len(piece))
    outbox.send(piece)
    assert [output[3:] for output in outbox.outputs] == [([piece], set()), ([], {"end"})]
    assert sides.pieces[0] is piece
    assert (sides.waits, outbox.unsent) == (1, LIMIT // 2)


def test_a_disconnect_ends_the_wait_and_the_body() -> None:
    sides = Sides(reads=False)
    outbox = sides.outbox
    sides.on_wait = outbox.disconnect
    outbox.start(content_length=1000)
    outbox.send(bytes(LIMIT + 1))
    assert sides.executor.resumed == 1
    assert not outbox.accepts_more
    outbox.end_call()
    # A body that is too short is not the application's fault then.
    assert outbox.reports == []


def test_discarded_output_is_not_taken() -> None:
    executor = RecordingExecutor(on_notify=lambda call: None, on_wait=lambda: None)
    outbox = RecordingOutbox(executor, limit=LIMIT)
    outbox.hint("hint")
    outbox.start()
    outbox.send(b"body")
    outbox.discard()
    assert outbox.unsent == 0
    outbox.take()
    assert outbox.outputs == [(None, None, -1, [], set())]
