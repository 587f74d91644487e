"""The measurements of applications that wait, compute, block and stream, with the lines on which they do."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from ianus.check import asgi_driver, wsgi_driver
from ianus.check.application_check import CheckResult
from tests.check import good_apps
from tests.check.checking import check

pytestmark = pytest.mark.slow

WAIT = good_apps.WAIT_SECONDS


def only(result: CheckResult) -> Any:
    (measurement,) = result.measurements
    return measurement


def marked_line(app: Callable[..., Any], comment: str) -> int:
    lines, first = inspect.getsourcelines(app)
    (index,) = (index for index, line in enumerate(lines) if line.rstrip().endswith(f"# {comment}"))
    return first + index


def test_a_wsgi_call_that_waits_hardly_computes() -> None:
    measured = only(check(good_apps.wsgi_waits))
    assert measured.wait >= WAIT * 0.9
    assert measured.cpu < WAIT / 2
    assert measured.place.line == marked_line(good_apps.wsgi_waits, "waits")


def test_a_wsgi_call_that_computes_has_its_cpu_time() -> None:
    measured = only(check(good_apps.wsgi_computes))
    assert measured.cpu >= 0.03
    assert measured.place.function == "compute"


def test_an_async_wait_does_not_block_the_loop() -> None:
    measured = only(check(good_apps.asgi_waits))
    assert measured.seconds >= WAIT * 0.9
    assert measured.loop_blocked < WAIT / 2


def test_a_call_that_blocks_the_loop_is_found_with_its_line() -> None:
    result = check(good_apps.asgi_blocks)
    measured = only(result)
    assert measured.loop_blocked >= WAIT * 0.9
    assert measured.place.line == marked_line(good_apps.asgi_blocks, "blocks")
    assert len(result.recommendation.changes) == 1


def test_a_computation_in_the_loop_is_not_a_wait() -> None:
    measured = only(check(good_apps.asgi_computes))
    assert measured.loop_cpu >= 0.03


def test_work_in_threads_is_seen() -> None:
    measured = only(check(good_apps.asgi_in_threads))
    assert measured.in_threads
    assert measured.loop_blocked < WAIT / 2


def test_streams_are_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (asgi_driver, wsgi_driver):
        monkeypatch.setattr(module, "STREAM_SECONDS", 0.2)
    assert only(check(good_apps.asgi_stream)).is_stream
    assert only(check(good_apps.wsgi_stream)).is_stream


def test_a_websocket_is_recognised() -> None:
    result = check(good_apps.asgi_websocket, "/chat")
    assert result.websocket_paths == ["/chat"]
    assert check(good_apps.asgi_fast).websocket_paths == []


def test_an_adapter_is_recognised() -> None:
    assert check(good_apps.adapted).recommendation.interface == "wsgi"


def test_a_wsgi_call_without_an_end_is_a_note_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wsgi_driver, "STREAM_SECONDS", 0.1)
    result = check(good_apps.wsgi_never, timeout=0.2)
    line = marked_line(good_apps.wsgi_never, "never")
    assert only(result).status == 0
    assert any("did not end" in each and f"good_apps.py:{line} in wsgi_never" in each for each in result.notes)


def test_a_loop_that_is_blocked_for_ever_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asgi_driver, "STREAM_SECONDS", 0.1)
    result = check(good_apps.asgi_blocks_for_ever, timeout=0.2)
    line = marked_line(good_apps.asgi_blocks_for_ever, "blocks for ever")
    assert any("blocked the event loop" in each and f"good_apps.py:{line} in" in each for each in result.notes)


@pytest.mark.parametrize(
    ("app", "reason"),
    [
        (good_apps.wsgi_fast, "it takes (environ, start_response)"),
        (good_apps.asgi_fast, "it is async and takes (scope, receive, send)"),
        (good_apps.adapted, "a WSGIMiddleware object is async and takes (scope, receive, send)"),
    ],
)
def test_the_reason_for_the_interface_is_stated(app: Any, reason: str) -> None:
    assert check(app).recognised_by == reason


def test_a_path_is_encoded_and_keeps_its_query() -> None:
    seen: list[tuple[str, str]] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        seen.append((environ["PATH_INFO"], environ["QUERY_STRING"]))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x"]

    check(app, "caf\u00e9/%C3%A9?a=%20")
    assert set(seen) == {("/caf\u00c3\u00a9/\u00c3\u00a9", "a=%20")}


def test_only_methods_that_do_not_write_are_sent() -> None:
    methods: set[str] = set()

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        methods.add(environ["REQUEST_METHOD"])
        assert environ["wsgi.input"].read() == b""
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"x"]

    assert check(app).violations == []
    assert methods == {"GET", "HEAD", "OPTIONS"}
