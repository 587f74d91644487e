"""pre_request and post_request around the calls of WSGI applications."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ianus.gateway.loading.loader import Application
from ianus.gateway.wsgi.file_wrapper import FileWrapper
from ianus.hooks import RequestInfo, ResponseInfo, WorkerInfo
from ianus.process.hooks import Hooks
from ianus.process.worker.request_hooks import with_request_hooks

WORKER = WorkerInfo(pid=1, slot=1, started=0.0)
ENVIRON = {
    "REQUEST_METHOD": "POST",
    "RAW_URI": "/a%20b?c=d",
    "PATH_INFO": "/a b",
    "wsgi.url_scheme": "https",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "10.0.0.1",
    "REMOTE_PORT": "5000",
    "CONTENT_TYPE": "text/plain",
    "HTTP_X_TEST": "1",
}

calls: list[str] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def pre_request(worker: WorkerInfo, req: Any) -> None:
    req.mark = "mark"
    calls.append("pre")


def post_request(worker: WorkerInfo, req: Any, environ: dict[str, Any], resp: ResponseInfo) -> None:
    calls.append(f"post {req.mark} {environ['PATH_INFO']} {resp.status!r} {resp.status_code}")


HOOKS = Hooks({"pre_request": pre_request, "post_request": post_request}, "hooks")


def wrapped(app: Callable[..., Any], hooks: Hooks = HOOKS) -> Callable[..., Any]:
    (found,) = with_request_hooks([Application(app, "wsgi", "x:app")], hooks, WORKER)
    return found.callable


def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> str:
    return "write"


def test_without_these_hooks_the_application_is_not_wrapped() -> None:
    assert wrapped(start, Hooks({"on_exit": print})) is start


@pytest.mark.parametrize("result", [[b"x"], (b"x",), FileWrapper(None)], ids=["list", "tuple", "file"])
def test_a_response_of_known_length_is_passed_unchanged(result: object) -> None:
    def app(environ: Any, start_response: Any) -> object:
        assert calls == ["pre"]
        assert start_response("201 Made", []) == "write"
        return result

    assert wrapped(app)(ENVIRON, start) is result
    assert calls == ["pre", "post mark /a b '201 Made' 201"]


def test_a_streamed_response_ends_when_it_is_closed() -> None:
    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"x"

        def close(self) -> None:
            calls.append("close")
            raise OSError("close")

    def app(environ: Any, start_response: Any) -> Body:
        start_response("200 OK", [])
        return Body()

    result = wrapped(app)(ENVIRON, start)
    assert list(result) == [b"x"]
    assert calls == ["pre"]
    with pytest.raises(OSError, match="close"):
        result.close()
    assert calls == ["pre", "close", "post mark /a b '200 OK' 200"]


def test_an_application_that_raises() -> None:
    def app(environ: Any, start_response: Any) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        wrapped(app)(ENVIRON, start)
    assert calls == ["pre", "post mark /a b '' 0"]


def test_failures_of_the_hooks(caplog: pytest.LogCaptureFixture) -> None:
    """As in gunicorn, one of pre_request fails the request, and one of post_request is logged."""

    def fail(*arguments: object) -> None:
        raise ValueError("hook")

    with pytest.raises(ValueError, match="hook"):
        wrapped(lambda environ, start: [], Hooks({"pre_request": fail}))(ENVIRON, start)
    assert wrapped(lambda environ, start: [], Hooks({"post_request": fail}, "hooks"))(ENVIRON, start) == []
    assert caplog.records[-1].getMessage().startswith("hook failed: hooks.post_request: ValueError: hook")


def test_asgi_applications_are_not_wrapped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    app = Application(print, "asgi3", "x:app")
    assert with_request_hooks([app], HOOKS, WORKER) == (app,)
    assert [each.getMessage() for each in caplog.records] == [
        "hooks not called for ASGI applications: pre_request, post_request"
    ]


def test_a_request_has_the_names_of_gunicorn() -> None:
    request = RequestInfo(ENVIRON)
    assert (request.method, request.uri, request.path, request.query) == ("POST", "/a%20b?c=d", "/a%20b", "c=d")
    assert (request.version, request.scheme, request.remote_addr) == ((1, 1), "https", ("10.0.0.1", 5000))
    assert RequestInfo(ENVIRON | {"REMOTE_PORT": ""}).peer_addr == ("10.0.0.1", 0)
    assert RequestInfo(ENVIRON | {"REMOTE_ADDR": ""}).peer_addr == ""
    assert request.headers == [("CONTENT-TYPE", "text/plain"), ("X-TEST", "1")]
    assert RequestInfo(ENVIRON | {"SERVER_PROTOCOL": "HTTP/2"}).version == (2, 0)
