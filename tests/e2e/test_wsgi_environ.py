"""The environ of WSGI applications, wsgi.input and wsgi.errors (PEP 3333)."""

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.helpers import Client, Server


def environ_of(client: Client, *request: bytes) -> dict[str, Any]:
    """The environ of a request of these lines, as far as its values are plain; "types" has the type of each."""
    client.send(b"\r\n".join([*request, b"", b""]))
    response = client.response()
    assert response.status == 200, response
    environ = json.loads(response.body)
    assert isinstance(environ, dict)
    return environ


# --- CGI variables ---


def test_environ(wsgi: Server) -> None:
    assert isinstance(wsgi.address, tuple)
    with wsgi.connect() as client:
        environ = environ_of(client, b"GET /environ?a=%41&b HTTP/1.1", b"Host: test:80", b"X-B: 1", b"x-a:2")
        address, port = client.sock.getsockname()
    types = environ.pop("types")
    environ.pop("HTTPS", None)
    assert environ == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/environ",
        "QUERY_STRING": "a=%41&b",
        "RAW_URI": "/environ?a=%41&b",
        "REQUEST_URI": "/environ?a=%41&b",
        "REMOTE_ADDR": address,
        "REMOTE_PORT": str(port),
        "SERVER_NAME": wsgi.address[0],
        "SERVER_PORT": str(wsgi.address[1]),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": environ["SERVER_SOFTWARE"],
        "HTTP_HOST": "test:80",
        "HTTP_X_B": "1",
        "HTTP_X_A": "2",
        "wsgi.version": [1, 0],
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    assert environ["SERVER_SOFTWARE"].startswith("ianus")
    assert types["wsgi.version"] == "tuple"
    assert {"wsgi.input", "wsgi.errors", "wsgi.file_wrapper"} <= types.keys()
    assert "wsgi.early_hints" not in types


def test_plain_http_is_not_https(wsgi: Server) -> None:
    with wsgi.connect() as client:
        environ = environ_of(client, b"GET /environ HTTP/1.1", b"Host: test")
    assert environ.get("HTTPS", "off") == "off"


def test_environ_of_1_0(wsgi: Server) -> None:
    """Without Host there is no HTTP_HOST; 1.0 does not know early hints (RFC 9110 15.2)."""
    with wsgi.connect() as client:
        environ = environ_of(client, b"GET /environ HTTP/1.0")
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.0"
    assert "HTTP_HOST" not in environ
    assert environ["QUERY_STRING"] == ""


def test_environ_of_an_absolute_target(wsgi: Server) -> None:
    """RFC 9112 3.2.2: its host counts, its scheme does not."""
    with wsgi.connect() as client:
        environ = environ_of(client, b"GET https://other:1/environ?a HTTP/1.1", b"Host: test")
    assert (environ["wsgi.url_scheme"], environ["HTTP_HOST"]) == ("http", "other:1")
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/environ", "a")


def test_options_of_the_whole_server(wsgi: Server) -> None:
    """RFC 9112 3.2.4: "*" is not a path. PATH_INFO must start with "/", so only RAW_URI differs from `OPTIONS /`."""
    with wsgi.connect() as client:
        environ = environ_of(client, b"OPTIONS * HTTP/1.1", b"Host: test")
    assert environ["REQUEST_METHOD"] == "OPTIONS"
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["RAW_URI"]) == ("", "/", "*")


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        pytest.param("/caf%C3%A9", "/caf\xc3\xa9", id="UTF-8 as latin-1"),
        pytest.param("/%ff%00", "/\xff\x00", id="any byte"),
        pytest.param("/%2e%2E/%2f", "/..//", id="dots and slashes"),
        pytest.param("//a//b/../c/.", "//a//b/../c/.", id="nothing is normalised"),
        pytest.param("/%zz%4", "/%zz%4", id="no escapes"),
        pytest.param("/a+b;c=1", "/a+b;c=1", id="no form"),
        pytest.param("/%25%32%35", "/%25", id="decoded once"),
    ],
)
def test_path_info(shared: Callable[..., Server], raw: str, path: str) -> None:
    """PEP 3333, "Unicode Issues": bytes, shown as ISO 8859-1."""
    with shared(app="wsgi_apps:bare_environ").connect() as client:
        environ = environ_of(client, f"GET {raw}?{raw} HTTP/1.1".encode(), b"Host: test")
    assert environ["PATH_INFO"] == path
    assert environ["QUERY_STRING"] == raw
    assert environ["RAW_URI"] == f"{raw}?{raw}"


def test_query_may_be_empty(wsgi: Server) -> None:
    with wsgi.connect() as client:
        assert environ_of(client, b"GET /environ? HTTP/1.1", b"Host: test")["QUERY_STRING"] == ""
        assert environ_of(client, b"GET /environ??a?b HTTP/1.1", b"Host: test")["QUERY_STRING"] == "?a?b"


def test_unix_socket(start_wsgi: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PEP 3333: SERVER_NAME and SERVER_PORT must never be empty."""
    monkeypatch.chdir(tmp_path)
    with start_wsgi(bind=["unix:app.sock"]).connect() as client:
        environ = environ_of(client, b"GET /environ HTTP/1.1", b"Host: test")
    assert environ["SERVER_NAME"]
    assert environ["SERVER_PORT"]
    assert isinstance(environ.get("REMOTE_ADDR", ""), str)


# --- Fields ---


def test_content_fields_have_names_of_their_own(wsgi: Server) -> None:
    with wsgi.connect() as client:
        client.send(b"POST /environ HTTP/1.1\r\nHost: test\r\nContent-Type: text/x; a=b\r\nContent-Length: 2\r\n\r\nhi")
        environ = json.loads(client.response().body)
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/x; a=b", "2")
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & environ.keys()


def test_repeated_fields_are_joined(wsgi: Server) -> None:
    """RFC 9110 5.3; cookies by RFC 6265 4.2.1 (one line) and RFC 9113 8.2.3 (the separator)."""
    fields = [
        b"X-A: 1",
        b"Cookie: a=1",
        b"x-a: 2",
        b"cookie: b=2",
        b"X-A: 3",
        b"X-Empty:",
        b"X-Empty:",
        b"X-Same: 1",
        b"X-Same: 1",
    ]
    with wsgi.connect() as client:
        environ = environ_of(client, b"GET /environ HTTP/1.1", b"Host: test", *fields)
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["HTTP_X_A"] == "1,2,3"
    assert environ["HTTP_X_EMPTY"] == ","
    assert environ["HTTP_X_SAME"] == "1,1"


def test_values_are_latin_1(wsgi: Server) -> None:
    with wsgi.connect() as client:
        environ = environ_of(client, b"GET /environ HTTP/1.1", b"Host: test", b"X-A: \xff\xc3\xa9 a\tb")
    assert environ["HTTP_X_A"] == "\xff\xc3\xa9 a\tb"


def test_underscores_do_not_pass_for_dashes(wsgi: Server) -> None:
    """CVE-2024-1135's neighbour (gunicorn 22): X_Forwarded_For must not be taken for a proxy's field."""
    fields = [b"X_A: evil", b"X-A: good", b"X-A_B: evil", b"Content_Length: 7", b"_: x", b"Content_Type: evil"]
    with wsgi.connect() as client:
        environ = environ_of(client, b"GET /environ HTTP/1.1", b"Host: test", *fields)
    assert environ["HTTP_X_A"] == "good"
    assert "evil" not in environ.values()
    assert "HTTP_X_A_B" not in environ
    assert environ.get("CONTENT_LENGTH", "") == ""


def test_underscores_on_demand(shared_wsgi: Callable[..., Server]) -> None:
    with shared_wsgi("--header-map", "dangerous").connect() as client:
        environ = environ_of(client, b"GET /environ HTTP/1.1", b"Host: test", b"X_A: 1")
    assert environ["HTTP_X_A"] == "1"


def test_no_client_sets_the_proxy_of_scripts(wsgi: Server) -> None:
    """CVE-2016-5385: HTTP_PROXY of CGI is also a setting of HTTP clients."""
    with wsgi.connect() as client:
        environ = environ_of(client, b"GET /environ HTTP/1.1", b"Host: test", b"Proxy: evil")
    assert "HTTP_PROXY" not in environ


def test_many_different_fields(wsgi: Server) -> None:
    """More names than a cache of ready-made strings would like to keep."""
    with wsgi.connect() as client:
        for turn in range(30):
            fields = [b"X-Name-%d-%d: %d" % (turn, number, number) for number in range(90)]
            environ = environ_of(client, b"GET /environ HTTP/1.1", b"Host: test", *fields)
            for number in range(90):
                assert environ[f"HTTP_X_NAME_{turn}_{number}"] == str(number)


def test_names_in_any_case(wsgi: Server) -> None:
    with wsgi.connect() as client:
        for name in (b"user-agent", b"User-Agent", b"USER-AGENT", b"uSER-aGENT"):
            assert (
                environ_of(client, b"GET /environ HTTP/1.1", b"Host: test", name + b": me")["HTTP_USER_AGENT"] == "me"
            )


def test_names_of_every_character(wsgi: Server) -> None:
    """RFC 9110 5.6.2: the characters of a token."""
    with wsgi.connect() as client:
        environ = environ_of(client, b"GET /environ HTTP/1.1", b"Host: test", b"X!#$%&'*+.^`|~9z: 1")
    assert environ["HTTP_X!#$%&'*+.^`|~9Z"] == "1"


def test_nothing_is_left_of_the_request_before(wsgi: Server) -> None:
    with wsgi.connect() as client:
        environ_of(client, b"GET /environ?a HTTP/1.1", b"Host: test", b"X-A: 1", b"Content-Type: text/x", b"Cookie: a")
        environ = environ_of(client, b"GET /environ HTTP/1.1", b"Host: test")
    assert not {"HTTP_X_A", "HTTP_COOKIE"} & environ.keys()
    assert environ.get("CONTENT_TYPE", "") == ""
    assert environ["QUERY_STRING"] == ""


# --- The prefix ---


def test_root_path(shared_wsgi: Callable[..., Server]) -> None:
    """A proxy has taken the prefix away."""
    with shared_wsgi("--root-path", "/p/q").connect() as client:
        environ = environ_of(client, b"GET /environ HTTP/1.1", b"Host: test")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["RAW_URI"]) == ("/p/q", "/environ", "/environ")


def test_root_path_kept(shared_wsgi: Callable[..., Server]) -> None:
    """A proxy has left the prefix in place: PEP 3333 wants it in SCRIPT_NAME alone."""
    with shared_wsgi("--root-path-kept", "/p").connect() as client:
        environ = environ_of(client, b"GET /p/environ HTTP/1.1", b"Host: test")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["RAW_URI"]) == ("/p", "/environ", "/p/environ")


# --- wsgi.input ---

BODY = b"first\nsecond\r\n\n" + b"x" * 5000 + b"\nlast"


def read(client: Client, body: bytes, steps: list[tuple[Any, ...]]) -> list[object]:
    response = client.post(f"/input?{quote(repr(steps))}", body)
    assert response.status == 200
    return list(eval(response.body))


def read_bytes_io(body: bytes, steps: list[tuple[Any, ...]]) -> list[object]:
    stream = io.BytesIO(body)
    results: list[object] = []
    for name, *arguments in steps:
        if name == "list":
            results.append(list(stream))
        elif name == "next":
            results.append(next(stream, None))
        else:
            results.append(getattr(stream, name)(*arguments))
    return results


@pytest.mark.parametrize("buffer", ["1M", "64"], ids=["memory", "file"])
@pytest.mark.parametrize("body", [BODY, b"", b"\n", b"no line"], ids=["lines", "empty", "empty line", "no end"])
@pytest.mark.parametrize(
    "steps",
    [
        [("read",), ("read",), ("readline",), ("readlines",), ("list",)],
        [("read", -1)],
        [("read", 0), ("read", 3), ("read", 100_000), ("read", 1)],
        [("readline",), ("readline", 3), ("readline", 0), ("readline", -1), ("readline",), ("read",)],
        [("readlines",)],
        [("readlines", 8), ("readlines", 0), ("read",)],
        [("list",), ("list",)],
        [("next",), ("next",), ("read", 2), ("next",), ("readline",), ("next",)],
    ],
    ids=lambda steps: "-".join(step[0] for step in steps),
)
def test_input_reads_like_a_file(
    shared_wsgi: Callable[..., Server], buffer: str, body: bytes, steps: list[tuple[Any, ...]]
) -> None:
    with shared_wsgi("--request-buffer", buffer).connect() as client:
        assert read(client, body, steps) == read_bytes_io(body, steps)


@pytest.mark.parametrize("buffer", ["1M", "64"], ids=["memory", "file"])
def test_input_reads_like_a_file_whatever_is_done(shared_wsgi: Callable[..., Server], buffer: str) -> None:
    choose = random.Random(3333)
    methods = ("read", "readline", "readlines", "list", "next")
    with shared_wsgi("--request-buffer", buffer).connect() as client:
        for _ in range(60):
            body = bytes(choose.choices(b"ab\n", k=choose.randrange(400)))
            steps: list[tuple[Any, ...]] = []
            for _ in range(choose.randrange(1, 8)):
                name = choose.choice(methods)
                # The hint of readlines() is optional, and Python's files treat it differently.
                sized = name in ("read", "readline") and choose.random() < 0.7
                steps.append((name, choose.randrange(-1, 60)) if sized else (name,))
            assert read(client, body, steps) == read_bytes_io(body, steps), steps


def test_input_that_is_not_read_stays_with_its_request(wsgi: Server) -> None:
    with wsgi.connect() as client:
        assert client.post("/hello", b"GET /target?smuggled HTTP/1.1\r\n\r\n").body == b"hello\n"
        assert client.post("/echo", b"mine").body == b"mine"
        # A larger one may be read while it arrives; see test_wsgi_arriving_bodies.py.
        assert client.post("/hello", b"x" * 200_000).body == b"hello\n"
        assert client.post("/echo", b"").body == b""


# --- wsgi.errors ---


def test_errors_go_to_the_log(start_wsgi: Callable[..., Server]) -> None:
    server = start_wsgi()
    assert server.get("/errors").body == b"told\n"
    server.log.wait_for(r"ERROR .*half and half$")
    server.log.wait_for(r"ERROR .*two$")
    server.log.wait_for(r"ERROR .*without end$")
    server.log.wait_for("LookupError: printed on purpose")
    assert "lines" in server.log.text


def test_line_that_a_request_left_unfinished(wsgi: Server) -> None:
    """The line is written sooner or later, and no other line is joined to it."""
    mark = wsgi.log.mark()
    with wsgi.connect() as client:
        assert client.get("/errors").body == b"told\n"
        assert client.get("/errors").body == b"told\n"
    wsgi.log.wait_for(r"half and half$[\s\S]*half and half$", mark)
