"""The access log: combined format and duration, on standard output, never a reason to wait."""

import os
import re
import signal
from collections.abc import Callable

import pytest

from tests.helpers import Server

LINE = re.compile(
    r'(?P<host>\S+) - - \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "(?P<line>[^"]*)" '
    r'(?P<status>\d{3}) (?P<size>\d+) "(?P<referer>[^"]*)" "(?P<agent>[^"]*)" (?P<seconds>\d+\.\d{6})'
)


def logged(server: Server, mark: int, count: int = 1) -> list[dict[str, str]]:
    """The next `count` lines behind `mark`, taken apart; there may be no other."""
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


def test_what_clients_choose_is_escaped(server: Server, mark: int) -> None:
    """Quotes would end the field, C1 controls command some terminals, a backslash begins an escape."""
    server.get('/"quoted"\\', b'User-Agent: "a" \\ \x9b31m\xff\xc3\xa9\tb', b'Referer: "')
    (line,) = logged(server, mark)
    assert line["line"] == r"GET /\x22quoted\x22\x5c HTTP/1.1"
    assert line["agent"] == r"\x22a\x22 \x5c \x9b31m\xff\xc3\xa9\x09b"
    assert line["referer"] == r"\x22"


def test_request_that_cannot_be_read(server: Server, mark: int) -> None:
    """There is no request line to show, and what was sent is not repeated."""
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
        server.said("waiting", told)
        client.reset()
    (line,) = logged(server, mark)
    assert (line["line"], line["status"]) == ("GET /leave HTTP/1.1", "499")


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


def test_log_that_nobody_reads(start_server: Callable[..., Server]) -> None:
    """The server goes on; what does not fit is counted, and told when the reader is back."""
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
