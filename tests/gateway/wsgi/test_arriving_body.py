"""`wsgi.input` of a call that was made before its body was complete, without a connection."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from ianus.exchange.disconnect import ClientDisconnected
from ianus.exchange.recording_exchange import RecordingGateway
from ianus.gateway.threads.recording import RecordingExecutor
from ianus.gateway.wsgi.recording import RecordingOutbox, ScriptedBody
from tests import engine
from tests.rows import for_each_row

LARGE = bytes(range(256)) * 1024  # 256 KiB


def body(
    script: Iterable[bytes | OSError | None],
    *,
    first: bytes = b"",
    size: int,
    on_wait: Callable[[], object] = lambda: None,
    on_notify: Callable[[object], object] = lambda call: None,
    **values: Any,
) -> tuple[ScriptedBody, RecordingOutbox]:
    """Returns the body of a call, and the call."""
    values = {"timeout_request_body": 0, "limit_body_rate": 0, **values}
    call = RecordingOutbox(RecordingExecutor(on_notify=on_notify, on_wait=lambda: None), limit=100)
    return ScriptedBody(engine.service(RecordingGateway(), **values), call, first, size, script, on_wait), call


def test_the_first_bytes_come_first() -> None:
    arriving, _ = body([b"rest"], first=b"first, ", size=11)
    assert arriving.file.read() == b"first, rest"
    assert arriving.file.read() == b""
    assert arriving.received == 4


def test_a_read_waits_until_it_is_filled() -> None:
    waits: list[None] = []
    arriving, _ = body(
        [None, b"a" * 30_000, None, None, b"b" * 70_000], size=100_000, on_wait=lambda: waits.append(None)
    )
    assert arriving.file.read(65_536) == b"a" * 30_000 + b"b" * 35_536
    assert arriving.file.read(65_536) == b"b" * 34_464
    assert len(waits) == 3


def test_a_large_read_is_received_into_its_own_buffer() -> None:
    """So that no byte is copied twice, and each read takes one call of the system."""
    arriving, _ = body([LARGE], size=len(LARGE))
    for start in range(0, len(LARGE), 65_536):
        assert arriving.file.read(65_536) == LARGE[start : start + 65_536]
    assert arriving.source.sizes == [65_536] * 4


def test_bytes_after_the_body_stay_in_the_socket() -> None:
    """They are the next request."""
    arriving, _ = body([b"bodyGET / HTTP/1.1"], size=4)
    assert arriving.file.read(100) == b"body"
    assert arriving.file.read() == b""
    assert arriving.received == 4


def test_lines() -> None:
    arriving, _ = body([b"ne\ntw", None, b"o\nthree"], first=b"o", size=13)
    assert list(arriving.file) == [b"one\n", b"two\n", b"three"]


def test_it_is_no_file_of_the_system() -> None:
    arriving, _ = body([b"body"], size=4)
    assert arriving.file.readable()
    assert not arriving.file.seekable()
    with pytest.raises(OSError, match="fileno"):
        arriving.file.fileno()


@for_each_row("end", [b"", OSError()], ids=["finished", "reset"])
@for_each_row("read", [lambda file: file.read(), lambda file: file.read(100), lambda file: list(file)])
def test_an_incomplete_body_raises(end: bytes | OSError, read: Callable[[Any], object]) -> None:
    """A part must not pass for the whole."""
    arriving, _ = body([b"part", end], size=10)
    with pytest.raises(ClientDisconnected):
        read(arriving.file)


def test_a_disconnect_ends_a_wait() -> None:
    arriving, call = body([], size=10, on_wait=lambda: call.disconnect())
    with pytest.raises(ClientDisconnected):
        arriving.file.read()


def test_the_end_of_the_response_ends_a_wait() -> None:
    arriving, _ = body([], size=10, on_wait=lambda: arriving.cut())
    with pytest.raises(ClientDisconnected):
        arriving.file.read()


def test_the_return_of_the_call_ends_a_wait() -> None:
    """Another thread of the application waits, and would read the next request."""
    arriving, _ = body([], size=10, on_wait=lambda: arriving.close())
    with pytest.raises(ValueError, match="after the call of the application had returned"):
        arriving.file.read()
    assert arriving.received == 0


def test_nothing_is_read_after_the_call() -> None:
    arriving, _ = body([b"0123456789"], size=10)
    arriving.close()
    with pytest.raises(ValueError, match="after the call"):
        arriving.file.read()
    assert arriving.source.sizes == []


@pytest.mark.parametrize(
    "values",
    [{"timeout_request_body": 1e-9}, {"limit_body_rate": 1e12, "limit_body_rate_grace": 1e-9}],
    ids=["timeout", "rate"],
)
def test_a_slow_client_is_reported_once(values: dict[str, Any]) -> None:
    notices: list[object] = []
    arriving, call = body([b"part"], size=10, on_notify=notices.append, **values)
    for _ in range(3):
        with pytest.raises(ClientDisconnected):
            arriving.file.read()
    assert arriving.expired
    assert notices == [call]
