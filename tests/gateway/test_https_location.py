"""The location of a redirect to https."""

from ianus.gateway.https_location import https_location
from tests.rows import for_each_row

KNOWN = {"example.org", "www.example.org", "127.0.0.1", "::1"}


def location(host: bytes, path: bytes = b"/", query: bytes = b"", port: int = 443) -> bytes | None:
    return https_location(host, path, query, port, KNOWN.__contains__)


@for_each_row(
    ("host", "expected"),
    [
        (b"example.org", b"https://example.org/"),
        (b"example.org:80", b"https://example.org/"),
        (b"Example.ORG:8080", b"https://example.org/"),
        (b"example.org.", b"https://example.org./"),
        (b"127.0.0.1:8000", b"https://127.0.0.1/"),
        (b"[::1]:8000", b"https://[::1]/"),
        (b"[0:0::1]", b"https://[0:0::1]/"),
    ],
)
def test_the_host_is_the_one_of_the_request(host: bytes, expected: bytes) -> None:
    assert location(host) == expected


@for_each_row(
    "host",
    [
        *(b"", b"evil.test", b"example.org.evil.test", b"example.org@evil.test", b"evil.test#example.org", b"[evil]"),
        *(b"example.org:x", b"example.org/..", b"example.org\r\nx: y", b"[::1", b"[::g]", b"::1", b"ex\xe4mple.org"),
    ],
)
def test_other_hosts_are_not_redirected_to(host: bytes) -> None:
    assert location(host) is None


@for_each_row(
    ("path", "query", "expected"),
    [
        (b"/a/%2e%2e/b", b"", b"https://example.org/a/%2e%2e/b"),
        (b"//evil.test/", b"a=b?c", b"https://example.org//evil.test/?a=b?c"),
        (b"*", b"", b"https://example.org/"),
        (b"", b"", b"https://example.org/"),
    ],
)
def test_the_path_is_kept(path: bytes, query: bytes, expected: bytes) -> None:
    assert location(b"example.org", path, query) == expected


def test_the_port_is_that_of_https() -> None:
    assert location(b"example.org:8080", port=8443) == b"https://example.org:8443/"
