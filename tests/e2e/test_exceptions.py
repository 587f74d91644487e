"""Exceptions of applications: for each kind the exchange ends, and the log names the request once."""

import re
from collections.abc import Callable

import pytest

from tests.e2e.exception_apps import KINDS
from tests.e2e.websocket_client import CLOSE, close, open_websocket
from tests.helpers import Server

# Lines that one exception may take in the log.
MANY_LINES = 3000

interfaces = pytest.mark.parametrize("app", ["app", "wsgi"])
kinds = pytest.mark.parametrize("kind", KINDS)


def reported(server: Server, mark: int, request: str) -> str:
    """The one report of a request since `mark`, with its traceback."""
    server.log.wait_for(rf" ERROR exception in application: {re.escape(request)}$", mark)
    assert server.get("/hello?group").status == 500  # The report is complete when the next one starts.
    text = server.log.since(mark)
    found = re.findall(r"^\S+ \S+ \S+ (?:ERROR|WARNING|CRITICAL).*\n(?:    .*\n)*", text, re.MULTILINE)
    assert len(found) == 2, text[:5000]
    assert "Logging error" not in text
    assert "never retrieved" not in text
    assert found[0].count("\n") < MANY_LINES
    return str(found[0])


@interfaces
@kinds
def test_an_exception_before_the_response_is_a_500(shared: Callable[..., Server], app: str, kind: str) -> None:
    server = shared(app=f"exception_apps:{app}")
    mark = server.log.mark()
    with server.connect() as client:
        assert client.get(f"/fails?{kind}").status == 500
        assert client.get("/fails?group").status == 500  # the connection lives on
    server.log.wait_for(rf" ERROR exception in application: GET /fails\?{kind}$", mark)


@interfaces
@kinds
def test_an_exception_inside_the_response_closes_the_connection(
    shared: Callable[..., Server], app: str, kind: str
) -> None:
    server = shared(app=f"exception_apps:{app}")
    mark = server.log.mark()
    with server.connect() as client:
        client.request(f"/begun?{kind}")
        assert client.head()[1] == 200
        assert client.exactly(len(b"5\r\nbegun\r\n")) == b"5\r\nbegun\r\n"
        assert client.nothing()
    report = reported(server, mark, f"GET /begun?{kind}")
    assert "marked" in report or kind == "broken-str"


@kinds
def test_an_exception_closes_a_websocket(shared: Callable[..., Server], kind: str) -> None:
    server = shared(app="exception_apps:app")
    mark = server.log.mark()
    with open_websocket(server, f"/socket?{kind}") as client:
        assert client.closed() == (1011, "")
        client.send(b"\x88\x82\x00\x00\x00\x00\x03\xf3")
        assert client.nothing()
    reported(server, mark, f"GET /socket?{kind}")


# --- After the client has left ---

MISTAKES = pytest.mark.parametrize("end", ["context", "cleared-context", "finally", "mixed-group"])
DISCONNECTS = pytest.mark.parametrize(
    "end", ["bare", "caused", "group", "context-of-notice", "context-of-cancellation"]
)


def leave(server: Server, how: str, end: str) -> str:
    """Disconnects a client and returns the log lines of its request."""
    mark = server.log.mark()
    if how in ("http", "wsgi"):
        with server.connect() as client:
            client.request(f"/leaves?{end}")
            client.head()
            client.reset()
    else:
        with open_websocket(server, f"/leaves?{end}") as client:
            if how == "clean":
                client.send(close(1000))
                while client.frame()[0] != CLOSE:
                    pass
            else:
                client.reset()
    server.app_log("raising", mark)
    # All of it is logged when the next request is: applications run in one thread here.
    assert server.get("/hello?group").status == 500
    server.log.wait_for(" ERROR exception in application: GET /hello", mark)
    return server.log.since(mark).partition(" ERROR exception in application: GET /hello")[0]


ways = pytest.mark.parametrize("how", ["http", "clean", "lost", "wsgi"])


@pytest.fixture
def leaving(shared: Callable[..., Server], how: str) -> Server:
    return shared("--threads", "1", app=f"exception_apps:{'wsgi' if how == 'wsgi' else 'app'}")


@ways
@pytest.mark.parametrize("end", ["context", "cleared-context", "finally", "mixed-group"])
def test_a_clean_up_that_fails_after_its_client_has_left_is_an_error(leaving: Server, how: str, end: str) -> None:
    log = leave(leaving, how, end)
    assert re.search(rf" ERROR exception in application: GET /leaves\?{end}\n    .*Traceback", log)
    assert "in raise_after_a_leave" in log
    assert log.count(" ERROR ") == 1


@ways
@pytest.mark.parametrize("end", ["bare", "caused", "group", "context-of-cancellation", "context-of-notice"])
def test_that_the_client_has_left_is_no_error(leaving: Server, how: str, end: str) -> None:
    assert " ERROR " not in leave(leaving, how, end)


@pytest.mark.parametrize("how", ["http", "clean", "lost"])
def test_the_exception_of_a_framework_for_a_client_that_has_left_is_one_line(leaving: Server, how: str) -> None:
    log = leave(leaving, how, "notice")
    assert " INFO client disconnected, application raised ClientDisconnect: GET /leaves?notice\n" in log
    assert " ERROR " not in log


@pytest.mark.parametrize("how", ["http"])
def test_the_exception_of_a_framework_for_a_client_that_is_there_is_an_error(leaving: Server) -> None:
    mark = leaving.log.mark()
    assert leaving.get("/stays?notice").status == 500
    leaving.log.wait_for(r" ERROR exception in application: GET /stays\?notice$", mark)


@pytest.mark.parametrize("how", ["wsgi"])
def test_a_generator_that_fails_when_it_is_closed_after_its_client_has_left_is_an_error(leaving: Server) -> None:
    log = leave(leaving, "wsgi", "close")
    assert " ERROR close() of the application's response failed: GET /leaves?close\n" in log


# --- The lifespan ---


# All cases that the server distinguishes: each of these starts a server.
@pytest.mark.parametrize("kind", ["cause-cycle", "long-cause", "shared-members", "broken-str", "endless-exceptions"])
def test_an_exception_in_the_lifespan_does_not_keep_the_server_from_serving(
    start_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("EXCEPTION", kind)
    server = start_server(app="exception_apps:lifespan")
    assert server.get().status == 500
    assert " WARNING lifespan startup raised an exception, serving without lifespan" in server.log.text
    assert server.log.text.count("\n") < MANY_LINES
