"""Sessions of HTTP/2 with their client, without a socket. The application is the test."""

import os
import re
from pathlib import Path
from typing import Any

import hpack
import pytest

from ianus.codec.http2.codec import Http2Factory
from ianus.exchange.http2_session import Http2SessionFactory
from ianus.exchange.recording import RecordingConnection, expire, read_deadline, waiting_calls, wants_read
from ianus.exchange.recording_exchange import RecordingExchange, RecordingGateway, body_times
from tests.certificates import issue_self_signed
from tests.codec.http2 import frames as f
from tests.engine import limits
from tests.exchange.conversation import Conversation
from tests.exchange.tls import tls_facts

MINIMAL_SECONDS = 1e-9


class Http2Conversation(Conversation):
    def __init__(self, *, start: bytes = f.START, window: int = 65535, **values: Any) -> None:
        super().__init__(**values)
        codecs = Http2Factory(
            limits(), max_concurrent_streams=128, stream_window=window, connection_window=window, extended_connect=True
        )
        how = {name: values[name] for name in ("https", "tls") if name in values}
        self.connection = RecordingConnection(Http2SessionFactory(self.service, codecs), **how)
        self.connection.receive(start)
        self.frames()

    def frames(self) -> list[f.Frame]:
        """Runs the callbacks of the loop, and returns the frames since the last call."""
        self.connection.resume()
        return f.frames_of(self.receives())


def statuses(frames: list[f.Frame]) -> list[tuple[int, bytes]]:
    """Of all responses of a connection, by their streams."""
    decoder = hpack.Decoder()
    return [(each.stream, dict(f.fields_of(each, decoder))[b":status"]) for each in frames if each.kind == f.HEADERS]


def credit(frames: list[f.Frame]) -> int:
    """Of the connection, in bytes."""
    return sum(int.from_bytes(each.payload) for each in frames if (each.kind, each.stream) == (f.WINDOW_UPDATE, 0))


def upload(size: int, stream: int) -> bytes:
    return b"".join(f.data(stream, bytes(min(16384, size - at))) for at in range(0, size, 16384))


def test_an_empty_body_that_ends_after_its_head_has_the_time_of_others() -> None:
    conversation = Http2Conversation(timeout_request_body=1000.0)
    exchange = conversation.open(f.post(1, (b"content-length", b"0")))
    assert body_times(exchange)[0] > 0
    expire(conversation.connection)
    assert conversation.frames() == []
    conversation.connection.receive(f.data(1, b"", f.END_STREAM))
    conversation.answer()
    assert statuses(conversation.frames()) == [(1, b"200")]
    conversation.close()


def test_the_error_of_a_stream_without_a_valid_head_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    conversation = Http2Conversation()
    # The second error is known before the session has answered the first one.
    conversation.connection.receive(f.headers(1, f.GET[1:], f.END_HEADERS) + f.window_update(1, 0))
    assert f.goaways(conversation.frames()) == []
    assert re.search("rejected request: status 400, .*WINDOW_UPDATE by 0$", caplog.text, re.MULTILINE)
    conversation.close()


def test_bodies_that_wait_for_others_have_no_deadline_until_these_are_taken() -> None:
    conversation = Http2Conversation(timeout_request_body=MINIMAL_SECONDS)
    conversation.open(f.post(1))
    waiting = conversation.open(f.post(3) + upload(39999, 3) + f.data(3, b"x", f.END_STREAM))
    expire(conversation.connection)
    assert statuses(conversation.frames()) == []
    assert read_deadline(conversation.connection) > 0
    waiting.read_body()
    conversation.answer(waiting)
    expire(conversation.connection)
    assert statuses(conversation.frames()) == [(3, b"200"), (1, b"408")]
    conversation.close()


def test_a_whole_body_that_is_taken_before_the_response_gives_credit_to_other_streams() -> None:
    conversation = Http2Conversation()
    uploads = []
    for stream in range(1, 9, 2):
        uploads.append(conversation.open(f.post(stream) + upload(15999, stream) + f.data(stream, b"x", f.END_STREAM)))
    assert credit(conversation.frames()) == 0
    for exchange in uploads:
        exchange.read_body()
    # No application has answered.
    assert credit(conversation.frames()) >= 64000
    conversation.close()


def test_a_stalled_response_is_reported_without_the_bytes_that_wait() -> None:
    conversation = Http2Conversation(start=f.PREFACE + f.settings(window=10), timeout_write=MINIMAL_SECONDS)
    exchange = conversation.open(f.headers())
    conversation.answer(exchange, bytes(300_000))
    conversation.frames()
    expire(conversation.connection)
    assert f.resets(conversation.frames()) == [(1, f.CANCEL)]
    ((target, _, size),) = conversation.ends
    assert target == b"/"
    assert size < 100
    conversation.close()


def test_stalled_responses_end_together() -> None:
    conversation = Http2Conversation(start=f.PREFACE + f.settings(window=0), timeout_write=MINIMAL_SECONDS)
    for stream in (1, 3, 5):
        conversation.answer(conversation.open(f.headers(stream)))
    conversation.frames()
    expire(conversation.connection)
    assert [stream for stream, _ in f.resets(conversation.frames())] == [1, 3, 5]
    conversation.close()


def test_output_that_waits_from_the_start_has_a_deadline() -> None:
    """Nothing is sent, so nothing else has the connection look at its deadlines."""
    conversation = Http2Conversation(start=f.PREFACE + f.settings(window=0), timeout_write=5)
    exchange = conversation.open(f.headers())
    exchange.respond()
    exchange.send(b"", more=True)
    assert statuses(conversation.frames()) == [(1, b"200")]
    assert read_deadline(conversation.connection) == 0
    conversation.connection.calls.clear()
    exchange.send(b"event", more=True)
    assert conversation.connection.calls == ["reconsider"]
    assert read_deadline(conversation.connection) > 0
    conversation.close()


def test_a_request_that_an_application_has_seen_is_not_refused_for_repetition() -> None:
    conversation = Http2Conversation()
    exchange = conversation.open(f.post())
    # RFC 9113 section 8.7: the client may repeat a request after REFUSED_STREAM.
    exchange.end_call()
    exchange.abort()
    assert f.resets(conversation.frames()) == [(1, f.INTERNAL_ERROR)]
    conversation.close()


def test_calls_that_have_waited_for_a_thread_are_not_kept() -> None:
    conversation = Http2Conversation()
    conversation.open(f.headers(1))
    assert conversation.exchange.takes_thread(1)
    # A busy connection: the next request waits before the call ends.
    for stream in range(3, 103, 2):
        last = conversation.exchange
        assert not conversation.open(f.headers(stream)).takes_thread(1)
        assert waiting_calls(conversation.connection) == 1
        last.free_thread()
        last.respond()
        last.send(b"ok")
        assert conversation.exchange.takes_thread(1)
        assert waiting_calls(conversation.connection) == 0
        conversation.frames()
    conversation.close()


def test_calls_that_wait_for_a_thread_are_not_kept_after_a_reset() -> None:
    conversation = Http2Conversation()
    assert conversation.open(f.headers(1)).takes_thread(1)
    for stream in range(3, 43, 2):
        assert not conversation.open(f.headers(stream)).takes_thread(1)
        conversation.connection.receive(f.rst_stream(stream))
        assert waiting_calls(conversation.connection) == 0
    conversation.close()


def test_a_file_that_shrinks_while_the_connection_is_blocked_ends_its_stream_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(400_000))
    large = 2**31 - 1
    start = f.PREFACE + f.settings(window=large) + f.window_update(0, large - 65535)
    conversation = Http2Conversation(start=start)
    exchange = conversation.open(f.headers())
    conversation.connection.stop_reading()
    with path.open("r+b") as file:
        exchange.respond()
        exchange.send_file(os.dup(file.fileno()), 400_000)
        conversation.connection.resume()
        file.truncate(1000)
        # In small parts, so that the connection stays blocked when its output is filled again.
        for _ in range(100):
            conversation.connection.read(4096)
        conversation.connection.read()
    frames = conversation.frames()
    assert f.resets(frames) == [(1, f.INTERNAL_ERROR)]
    assert wants_read(conversation.connection)
    conversation.close()


def test_a_host_without_a_certificate_is_refused_on_its_stream_alone() -> None:
    facts = tls_facts(server_certificate=issue_self_signed("one.test").pem.decode())
    conversation = Http2Conversation(tls_host_check=True, https=True, tls=facts)
    requests = [(1, f.GET, b"two.test"), (3, f.POST, b"two.test"), (5, f.GET, b"one.test")]
    for stream, fields, authority in requests:
        flags = f.END_HEADERS | (f.END_STREAM if fields is f.GET else 0)
        conversation.connection.receive(f.headers(stream, [*fields[:-1], (b":authority", authority)], flags))
    conversation.answer()
    frames = conversation.frames()
    assert statuses(frames) == [(1, b"421"), (3, b"421"), (5, b"200")]
    # RFC 9113 section 8.1: the client need not send its body.
    assert f.resets(frames) == [(3, f.NO_ERROR)]
    assert f.goaways(frames) == []
    conversation.close()


@pytest.mark.parametrize("runs_later", [False, True], ids=["at once", "as tasks"])
def test_responses_to_requests_that_arrive_together_are_sent_by_priority(runs_later: bool) -> None:
    """RFC 9218: although the application of the less urgent one answers first."""

    def respond(exchange: RecordingExchange) -> None:
        exchange.respond(200)
        exchange.send(bytes(300_000))
        exchange.end_call()

    gateway = RecordingGateway(runs_later=runs_later, application=None if runs_later else respond)
    conversation = Http2Conversation(start=f.PREFACE + f.settings(window=1 << 20), gateway=gateway)
    wishes = ((1, b"u=5"), (3, b"u=0"))
    conversation.connection.receive(
        b"".join(f.headers(stream, [*f.GET, (b"priority", wish)]) for stream, wish in wishes)
    )
    if runs_later:
        for exchange in gateway.exchanges:
            respond(exchange)
    # The window of the connection admits a part of the first response.
    assert {each.stream for each in conversation.frames() if each.kind == f.DATA} == {3}
    gateway.exchanges.clear()
    conversation.close()
