"""ianus.testing: a server in a thread for the length of a with-statement."""

import asyncio
import logging
import socket
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import httpx
import pytest

import ianus.testing
from ianus.errors import SettingError, StartupError


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    if scope["path"] == "/fail":
        raise ValueError("application error")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


def test_an_application_is_served_inside_the_with_statement() -> None:
    before = threading.enumerate()
    with ianus.testing.serve(app) as url:
        assert httpx.get(f"{url}/").text == "hi"
    assert threading.enumerate() == before
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_a_name_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app_of_test_testing.py").write_text(
        "import asyncio, pytest\n"
        "with pytest.raises(RuntimeError): asyncio.get_running_loop()\n"
        "async def app(scope, receive, send):\n"
        "    await send({'type': 'http.response.start', 'status': 204, 'headers': []})\n"
        "    await send({'type': 'http.response.body'})\n"
    )
    monkeypatch.setattr(sys, "path", sys.path[:])
    with ianus.testing.serve("app_of_test_testing:app", app_dir=str(tmp_path)) as url:
        assert httpx.get(url).status_code == 204


def test_settings_are_those_of_the_server() -> None:
    with ianus.testing.serve(app, bind="[::1]:0", header="X-Test: yes") as url:
        assert url.startswith("http://[::1]:")
        assert httpx.get(url).headers["x-test"] == "yes"
    with pytest.raises(SettingError, match="backlog"), ianus.testing.serve(app, backlog="x"):
        pass
    with pytest.raises(TypeError, match="did you mean 'backlog'"), ianus.testing.serve(app, backlogg=1):
        pass


def test_several_at_once() -> None:
    with ianus.testing.serve(app) as first, ianus.testing.serve(app) as second:
        assert first != second
        assert httpx.get(first).text == httpx.get(second).text == "hi"


def test_an_error_of_the_application_is_answered_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with ianus.testing.serve(app) as url:
        assert httpx.get(f"{url}/fail").status_code == 500
    (record,) = (record for record in caplog.records if record.levelno >= logging.ERROR)
    assert record.name == "ianus.error"
    assert "GET /fail" in record.getMessage()
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "application error"


@pytest.mark.parametrize("name", ["no_such_module_here:app", "json:app"])
def test_a_start_that_fails_raises_in_the_with_statement(name: str) -> None:
    before = threading.enumerate()
    with pytest.raises(StartupError), ianus.testing.serve(name):
        raise AssertionError("never reached")
    assert threading.enumerate() == before


def test_an_error_in_the_with_statement_stops_the_server() -> None:
    with pytest.raises(KeyError, match="mine"), ianus.testing.serve(app) as url:
        raise KeyError("mine")
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_clients_that_stay_connected_are_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with httpx.Client() as client, ianus.testing.serve(app, timeout_stop=0) as url:
        client.get(url)
    assert "requests abandoned: 0, connections closed: 1" in caplog.text
    assert all(record.levelno < logging.WARNING for record in caplog.records)


def test_work_after_a_response_may_finish() -> None:
    done = threading.Event()
    go_on = threading.Event()

    async def works_on(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)
        if scope["type"] == "http":
            await asyncio.to_thread(go_on.wait)
            done.set()

    with ianus.testing.serve(works_on) as url:
        assert httpx.get(url).text == "hi"
        threading.Timer(0.01, go_on.set).start()
    assert done.is_set()


def test_tasks_that_do_not_end_are_cancelled(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(ianus.testing, "CALLS_TIMEOUT_SECONDS", 0.01)
    cancelled = threading.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"event", "more_body": True})
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    with httpx.Client() as client, ianus.testing.serve(endless) as url, client.stream("GET", url) as response:
        assert next(response.iter_text()) == "event"
        # The with-statements end from the inside out: the client disconnects first, the application does not notice.
    assert cancelled.is_set()
    assert "requests abandoned: 1" in caplog.text


def test_an_application_that_blocks_its_loop_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ianus.testing, "THREAD_TIMEOUT_SECONDS", 0.05)
    blocked, release = threading.Event(), threading.Event()
    before = threading.enumerate()

    async def blocks(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            blocked.set()
            release.wait()

    def serve() -> None:
        with ianus.testing.serve(blocks) as url:
            host, _, port = url.removeprefix("http://").rpartition(":")
            client = socket.create_connection((host, int(port)))
            client.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            client.close()
            blocked.wait()

    try:
        with pytest.raises(RuntimeError, match="blocks its event loop"):
            serve()
    finally:
        release.set()
        for thread in set(threading.enumerate()) - set(before):
            thread.join()


def test_the_loop_can_be_chosen() -> None:
    pytest.importorskip("uvloop")
    loops = []

    async def tells(scope: Any, receive: Any, send: Any) -> None:
        loops.append(type(asyncio.get_running_loop()).__module__.partition(".")[0])
        await app(scope, receive, send)

    for loop in ("asyncio", "uvloop"):
        with ianus.testing.serve(tells, loop=loop, lifespan="off") as url, urllib.request.urlopen(url) as response:
            assert response.read() == b"hi"
    assert loops == ["asyncio", "uvloop"]
