"""Requests to the admin socket are read strictly."""

import pytest

from ianus.process.supervisor.admin_request import (
    MAX_HEAD_BYTES,
    AdminRequest,
    AdminRequestError,
    build_response,
    parse_head,
)
from tests.rows import for_each_row


def status_of(data: bytes, *, local_only: bool = True) -> int:
    with pytest.raises(AdminRequestError) as caught:
        parse_head(data, local_only=local_only)
    return caught.value.status


@for_each_row(
    ("data", "method", "path"),
    [
        (b"GET /-/live HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET", "/-/live"),
        (b"HEAD /-/ready?x=1 HTTP/1.1\r\nhost:127.0.0.1:9000 \r\nX: \xff\t!\r\n\r\nrest", "HEAD", "/-/ready"),
        (b"GET / HTTP/1.0\r\n\r\n", "GET", "/"),
        (b"GET / HTTP/1.1\r\nHost: [::1]:9000\r\nContent-Length: 0\r\n\r\n", "GET", "/"),
    ],
)
def test_a_request_has_a_method_and_a_path(data: bytes, method: str, path: str) -> None:
    assert parse_head(data, local_only=True) == AdminRequest(method, path)
    for size in range(data.index(b"\r\n\r\n") + 3):
        assert parse_head(data[:size], local_only=True) is None


@for_each_row(
    "data",
    [
        b"\x16\x03\x01\n",
        b"GET  / HTTP/1.1\r\n",
        b"GET http://localhost/ HTTP/1.1\r\n",
        b"GET / HTTP/2.0\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nname : value\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nx: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nx: \n\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_other_input_is_refused(data: bytes) -> None:
    assert status_of(data) == 400


def test_only_reading_methods_are_supported() -> None:
    assert status_of(b"POST /-/live HTTP/1.1\r\nHost: localhost\r\n\r\n") == 405


def test_the_size_of_a_head_is_limited() -> None:
    start = b"GET / HTTP/1.1\r\nx: "
    assert parse_head(start + b"a" * (MAX_HEAD_BYTES - len(start)), local_only=True) is None
    assert status_of(start + b"a" * MAX_HEAD_BYTES) == 431
    assert status_of(start + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n") == 431


@for_each_row("host", [b"evil.example", b"127.0.0.1.evil.example", b"10.0.0.1:80", b"localhost.evil"])
def test_a_name_of_another_machine_is_refused(host: bytes) -> None:
    request = b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
    assert status_of(request) == 403
    assert parse_head(request, local_only=False) is not None, "a web page cannot reach a Unix socket"


def test_a_response_is_the_last_of_its_connection() -> None:
    head = (
        b"HTTP/1.1 200 OK\r\nDate: D\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nCache-Control: no-store\r\n"
        b"Connection: close\r\n\r\n"
    )
    assert build_response(200, b"ok\n", "text/plain", "D", is_head=False) == head + b"ok\n"
    assert build_response(200, b"ok\n", "text/plain", "D", is_head=True) == head
    assert b"\r\nAllow: GET, HEAD\r\n" in build_response(405, b"", "text/plain", "D", is_head=False)
