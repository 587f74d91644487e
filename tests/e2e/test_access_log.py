"""The access log: combined format and duration, or the configured format; writing it never blocks."""

import base64
import json
import os
import re
import signal
import time
from ast import literal_eval
from collections.abc import Callable
from datetime import datetime

import pytest

from tests.e2e.test_responses import body, played, start
from tests.helpers import Gate, Server

LINE = re.compile(
    r'(?P<host>\S+) - - \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "(?P<line>[^"]*)" '
    r'(?P<status>\d{3}) (?P<size>\d+) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)" (?P<seconds>\d+\.\d{6})'
)


def logged(server: Server, mark: int, count: int = 1) -> list[dict[str, str]]:
    """Returns the next `count` lines after `mark`, parsed; others are not allowed."""
    assert server.output is not None
    server.output.wait_for(rf"\A(.*\n){{{count}}}", mark)
    lines = server.output.since(mark).splitlines()
    found = [LINE.fullmatch(line) for line in lines]
    assert all(found), lines
    assert len(found) == count
    return [match.groupdict() for match in found if match is not None]


@pytest.fixture
def mark(server: Server) -> int:
    """The end of the log, with the lines of earlier tests before it."""
    assert server.output is not None
    unique = os.urandom(8).hex()
    server.get(f"/target?{unique}")
    server.output.wait_for(f"{unique}.*\n")
    return server.output.mark()


def test_line(server: Server, mark: int) -> None:
    server.get("/hello?a=b", b"Referer: http://from/", b"User-Agent: test/1.0 (x)")
    (line,) = logged(server, mark)
    del line["time"]
    assert float(line.pop("seconds")) < 10
    assert line == {
        "host": "127.0.0.1",
        "line": "GET /hello?a=b HTTP/1.1",
        "status": "200",
        "size": "6",
        "referer": "http://from/",
        "agent": "test/1.0 (x)",
    }


def test_line_without_referer_and_agent(server: Server, mark: int) -> None:
    server.get("/hello")
    (line,) = logged(server, mark)
    assert (line["referer"], line["agent"]) == ("-", "-")


def test_one_line_for_each_response(server: Server, mark: int) -> None:
    with server.connect() as client:
        client.send(b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n" * 2)
        client.send(b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        for _ in range(3):
            client.response()
    server.get("/missing")
    server.get("/raise")
    assert [(line["line"], line["status"], line["size"]) for line in logged(server, mark, 5)] == [
        ("GET /hello HTTP/1.1", "200", "6"),
        ("GET /hello HTTP/1.1", "200", "6"),
        ("GET /stream HTTP/1.0", "200", "14"),
        ("GET /missing HTTP/1.1", "404", "8"),
        ("GET /raise HTTP/1.1", "500", "26"),
    ]


def test_head_has_size_0(server: Server, mark: int) -> None:
    with server.connect() as client:
        client.request("/hello", method="HEAD")
        client.response("HEAD")
    (line,) = logged(server, mark)
    assert (line["line"], line["size"]) == ("HEAD /hello HTTP/1.1", "0")


def test_duration_is_that_of_the_request(server: Server, mark: int) -> None:
    server.get("/block?0.2")
    (line,) = logged(server, mark)
    assert float(line["seconds"]) >= 0.2


def test_target_is_logged_raw(server: Server, mark: int) -> None:
    """CVE-2020-7694 (uvicorn): the decoded path brought escape sequences to the operator's terminal."""
    server.get("/%1b[31m%0d%0a%22/../x?%00")
    (line,) = logged(server, mark)
    assert line["line"] == "GET /%1b[31m%0d%0a%22/../x?%00 HTTP/1.1"


def test_values_from_clients_are_escaped(server: Server, mark: int) -> None:
    """Quotes would end the field, C1 controls command some terminals, a backslash starts an escape."""
    server.get('/"quoted"\\', b'User-Agent: "a" \\ \x9b31m\xff\xc3\xa9\tb', b'Referer: "')
    (line,) = logged(server, mark)
    assert line["line"] == r"GET /\x22quoted\x22\x5c HTTP/1.1"
    assert line["agent"] == r"\x22a\x22 \x5c \x9b31m\xff\xc3\xa9\x09b"
    assert line["referer"] == r"\x22"


def test_request_that_cannot_be_read(server: Server, mark: int) -> None:
    """There is no valid request line, and the client's bytes are not repeated in the log."""
    with server.connect() as client:
        client.send(b"nonsense\x1b[31m\r\n\r\n")
        client.response()
    (line,) = logged(server, mark)
    assert (line["host"], line["line"], line["status"]) == ("127.0.0.1", "-", "400")


def test_client_that_left(server: Server, mark: int) -> None:
    """499: it left before its answer."""
    told = server.log.mark()
    with server.connect() as client:
        client.request("/leave")
        server.app_log("waiting", told)
        client.reset()
    (line,) = logged(server, mark)
    assert (line["line"], line["status"]) == ("GET /leave HTTP/1.1", "499")


# --- Other formats ---


def lines_of(server: Server, *requests: tuple[str, *tuple[bytes, ...]]) -> list[str]:
    """The lines that these requests are logged with: paths, each with fields."""
    assert server.output is not None
    unique = os.urandom(8).hex()
    for path, *fields in ((f"/missing?begin-{unique}",), *requests, (f"/missing?end-{unique}",)):
        server.get(path, *fields)
    found = server.output.wait_for(rf"begin-{unique}.*\n(?s:(.*))^.*end-{unique}")[1]
    return str(found).splitlines()


USER_AND_SIZE = "%(u)s %(b)s %(q)s"

ATOMS = {
    "%(h)s": r"127\.0\.0\.1",
    "%(l)s": "-",
    "%(t)s": r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]",
    "%(r)s": r"GET /own-fields\?a=b HTTP/1\.1",
    "%(m)s": "GET",
    "%(U)s": "/own-fields",
    "%(q)s": "a=b",
    "%(H)s": r"HTTP/1\.1",
    "%(s)s": "200",
    "%(B)s": "0",
    "%(b)s": "-",
    "%(T)s": r"\d+",
    "%(M)s": r"\d+",
    "%(D)s": r"\d+",
    "%(L)s": r"\d+\.\d{6}",
    "%(Q)s": r"0\.\d{6}",
    "%(p)s": r"<\d+>",
    "%(f)s": "http://from/",
    "%(a)s": r"\\x22agent\\x22",
    "%(u)s": "me",
    "%({X-A}i)s": "one",
    "%({x-none}i)s": "-",
    "%({Server}o)s": "own",
    "%({x-capitals}o)s": "yes",
    "%({x-none}o)s": "-",
    "%({PATH}e)s": re.escape(os.environ["PATH"]),
    "%({NO_SUCH_VARIABLE}e)s": "-",
    "100%%": "100%",
    "\u00e4": "\u00e4",
}


@pytest.fixture(scope="module")
def atoms(shared: Callable[..., Server]) -> dict[str, str]:
    """Each atom has its value for one request."""
    fields = (b"Referer: http://from/", b'User-Agent: "agent"', b"Authorization: basic bWU6cGFzcw==", b"X-A: one")
    (line,) = lines_of(shared("--access-log-format", " | ".join(ATOMS)), ("/own-fields?a=b", *fields))
    return dict(zip(ATOMS, line.split(" | "), strict=True))


@pytest.mark.parametrize("atom", ATOMS)
def test_atoms(atoms: dict[str, str], atom: str) -> None:
    """They are gunicorn's."""
    assert re.fullmatch(ATOMS[atom], atoms[atom]), atoms[atom]


def test_headers_that_could_not_be_sent(shared: Callable[..., Server]) -> None:
    """They are the application's error, and no part of the answer."""
    bad = played(start(200, ("x-a", "b")), body())  # type: ignore[arg-type]
    late = played(start(200, (b"x-a", b"b"), (b"content-length", b"1")), body(b"ab"))
    lines = lines_of(shared("--access-log-format", "%(s)s %({x-a}o)s %(q)s"), (bad,), (late,))
    assert [line[:5] for line in lines] == ["500 -", "500 -"]


@pytest.mark.parametrize(
    "credentials",
    [b"", b"Authorization: Bearer bWU6cGFzcw==", b"Authorization: Basic !!", b"Authorization: Basic bWU=", b"X: y"],
)
def test_no_user(shared: Callable[..., Server], credentials: bytes) -> None:
    fields = (credentials,) if credentials else ()
    (line,) = lines_of(shared("--access-log-format", USER_AND_SIZE), ("/hello", *fields))
    assert line == "- 6 "  # A request without a query has an empty one.


def test_user_is_escaped(shared: Callable[..., Server]) -> None:
    """Base64 can bring any byte."""
    field = b"Authorization: Basic " + base64.b64encode(b"a\x1b\n\xff:b")
    (line,) = lines_of(shared("--access-log-format", USER_AND_SIZE), ("/hello", field))
    assert line.startswith(r"a\x1b\x0a\xc3\xbf 6")


def test_json(shared: Callable[..., Server]) -> None:
    server = shared("--log-format", "json")
    agent = b'User-Agent: "a" \\ \x9b31m\xff\tb'
    (line,) = lines_of(server, ("/hello?a=b", agent))
    entry = json.loads(line)
    assert line.isascii()
    assert list(entry) == [
        "time", "client", "method", "target", "protocol", "status", "size", "duration", "queue_time",
        "referer", "user_agent",
    ]  # fmt: skip
    assert datetime.fromisoformat(entry.pop("time")).tzinfo is not None
    assert 0 < entry.pop("queue_time") <= entry.pop("duration") < 10
    assert entry == {
        "client": "127.0.0.1",
        "method": "GET",
        "target": "/hello?a=b",
        "protocol": "HTTP/1.1",
        "status": 200,
        "size": 6,
        "referer": None,
        "user_agent": '"a" \\ \x9b31m\xff\tb',
    }


def test_json_of_a_request_that_cannot_be_read(shared: Callable[..., Server]) -> None:
    server = shared("--log-format", "json")
    assert server.output is not None
    mark = server.output.mark()
    with server.connect() as client:
        client.send(b"nonsense\r\n\r\n")
        client.response()
    entry = json.loads(server.output.wait_for(r"^.*\"status\":400.*$", mark)[0])
    assert (entry["method"], entry["target"], entry["protocol"]) == (None, None, None)


def test_excluded_paths(shared: Callable[..., Server]) -> None:
    """Health checks are not worth a line, unless they fail."""
    server = shared("--access-log-exclude", "/hello", "--access-log-exclude", "/str*")
    lines = lines_of(server, ("/hello",), ("/hello?x",), ("/stream",), ("/hello/x",), ("/strange",), ("/raise",))
    assert [line.split('"')[1] for line in lines] == [
        "GET /hello/x HTTP/1.1",
        "GET /strange HTTP/1.1",
        "GET /raise HTTP/1.1",
    ]


# --- The request id ---


def test_request_id_is_taken(shared: Callable[..., Server]) -> None:
    """It reaches the application, the log and the client."""
    server = shared("--request-id-header", "X-Request-ID", "--log-format", "json")
    assert server.output is not None
    mark = server.output.mark()
    response = server.get("/scope", b"x-request-id: from-the-proxy")
    assert response.header(b"x-request-id") == b"from-the-proxy"
    assert "(b'x-request-id', b'from-the-proxy')" in json.loads(response.body)["headers"]
    entry = json.loads(server.output.wait_for(r"^.*from-the-proxy.*$", mark)[0])
    assert entry["request_id"] == "from-the-proxy"


@pytest.mark.parametrize(
    "fields", [[], [b"X-Request-ID:"], [b"X-Request-ID: a b"], [b"X-Request-ID: " + b"a" * 129],
               [b"X-Request-ID: \xff"], [b"X-Request-ID: a", b"X-Request-ID: b"]]
)  # fmt: skip
def test_request_id_is_made(shared: Callable[..., Server], fields: list[bytes]) -> None:
    server = shared("--request-id-header", "X-Request-ID", "--log-format", "json")
    response = server.get("/scope", *fields)
    made = response.header(b"x-request-id")
    assert made is not None
    assert re.fullmatch(rb"[0-9a-f]{32}", made)
    found = [value for name, value in literal_eval(json.loads(response.body)["headers"]) if name == b"x-request-id"]
    assert found == [made]


def test_application_decides_the_request_id(shared: Callable[..., Server]) -> None:
    server = shared("--request-id-header", "X-Request-ID", "--log-format", "json")
    response = server.get(played(start(200, (b"X-Request-Id", b"own")), body()), b"X-Request-ID: given")
    assert response.header(b"x-request-id") == b"own"


def test_own_answers_carry_the_request_id(shared: Callable[..., Server]) -> None:
    server = shared("--request-id-header", "X-Request-ID", "--log-format", "json")
    assert server.get("/raise", b"X-Request-ID: a").header(b"x-request-id") == b"a"


# --- Writing ---


def test_lines_are_written_at_the_end(start_server: Callable[..., Server]) -> None:
    server = start_server()
    for _ in range(3):
        server.get()
    server.stop()
    assert server.output is not None
    assert server.output.text.count("GET /hello HTTP/1.1") == 3


def test_no_access_log(start_server: Callable[..., Server]) -> None:
    server = start_server("--no-access-log")
    server.get()
    server.stop()
    assert server.output is not None
    assert server.output.text == ""


@pytest.mark.extended
def test_log_pipe_that_is_not_read(start_server: Callable[..., Server]) -> None:
    """The server continues; lines that do not fit are counted, and the count is logged when the reader is back."""
    ours, theirs = os.pipe()
    try:
        server = start_server(stdout=theirs)
        os.close(theirs)
        agent = b"User-Agent: " + b"x" * 2000
        with server.connect() as client:
            for _ in range(100):
                client.send((b"GET /hello HTTP/1.1\r\nHost: test\r\n" + agent + b"\r\n\r\n") * 50)
                for _ in range(50):
                    assert client.response().status == 200
        lines = 0
        os.set_blocking(ours, True)
        mark = server.log.mark()
        server.signal(signal.SIGTERM)
        while data := os.read(ours, 1 << 20):
            lines += data.count(b"\n")
        dropped = int(server.log.wait_for(r"(\d+) line\(s\) dropped", mark)[1])
        assert lines + dropped == 5000
    finally:
        os.close(ours)


def test_fields_that_can_be_read_once(shared: Callable[..., Server]) -> None:
    server = shared("--access-log-format", "%(U)s %(s)s %({x-echo}o)s")
    assert server.output is not None
    assert server.get("/one-shot-headers").body == b"a"
    server.output.wait_for("/one-shot-headers 200 a\n")
    with server.connect() as client:
        client.request("/one-shot-headers?raise")
        client.head()
        client.exactly(6)
        assert client.gone()


def test_the_queue_time_includes_the_time_in_the_socket_of_a_blocked_worker(
    start_server: Callable[..., Server], gate: Gate
) -> None:
    server = start_server("--access-log-format", "%(U)s %(Q)s", app="balance_apps:app")
    assert server.output is not None
    with server.connect() as blocking, server.connect() as waiting:
        mark = server.log.mark()
        blocking.request(gate.target)
        server.log.wait_for("app: waiting", mark)
        sent_at = time.monotonic()
        waiting.request("/waiting")
        # Longer than the application needs, and than a tick of the kernel's clock
        time.sleep(0.2)
        gate.open()
        blocking.response()
        waiting.response()
        elapsed = time.monotonic() - sent_at
    queue_time = float(server.output.wait_for(r"/waiting (\S+)\n")[1])
    # The kernel's clock has ticks of at most 10 ms.
    assert 0.19 <= queue_time <= elapsed + 0.01
