"""The environ dictionaries, without a connection."""

from typing import Any

import pytest

from ianus.gateway.wsgi.environ import Environs
from ianus.gateway.wsgi.recording import make_environ

ERRORS = object()


def environs(*, root: str = "", kept: str = "", header_map: str = "drop") -> Environs:
    return Environs(
        script_name=root + kept, prefix=kept, errors=ERRORS, multithread=True, multiprocess=False,
        header_map=header_map,
    )  # fmt: skip


def environ(made_by: Environs | None = None, /, **values: Any) -> dict[str, Any]:
    request: dict[str, Any] = {"method": "GET", "path": "/", "http_version": "1.1", "headers": []}
    request |= values
    request.setdefault("raw_path", request["path"].encode())
    return make_environ(environs() if made_by is None else made_by, **request)


def test_a_plain_request() -> None:
    made = environ(headers=[(b"host", b"example")])
    wrapper = made.pop("wsgi.file_wrapper")
    assert wrapper.__name__ == "FileWrapper"
    assert made == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "RAW_URI": "/",
        "REQUEST_URI": "/",
        "SERVER_NAME": "192.0.2.80",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "ianus",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "4711",
        "HTTP_HOST": "example",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": None,
        "wsgi.errors": ERRORS,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }


def test_reports_of_a_proxy() -> None:
    made = environ(client=("192.0.2.9", 0), server=("example.org", 443), https=True, prefix="/api")
    assert made["REMOTE_ADDR"] == "192.0.2.9"
    assert "REMOTE_PORT" not in made  # not reported
    assert (made["wsgi.url_scheme"], made["HTTPS"]) == ("https", "on")
    assert (made["SERVER_NAME"], made["SERVER_PORT"]) == ("example.org", "443")
    assert (made["SCRIPT_NAME"], made["PATH_INFO"]) == ("/api", "/")
    assert "HTTPS" not in environ()
    # A Unix socket has no port of its own.
    made = environ(server=("/run/app.sock", None), https=True)
    assert (made["SERVER_NAME"], made["SERVER_PORT"]) == ("localhost", "443")


@pytest.mark.parametrize(
    ("how", "path", "expected"),
    [
        ({"root": "/old"}, "/x", ("/api", "/x")),
        ({"kept": "/kept"}, "/kept/x", ("/api/kept", "/x")),
        ({"kept": "/kept"}, "/x", ("/api", "/x")),
    ],
)
def test_a_reported_prefix_replaces_that_of_the_settings(
    how: dict[str, str], path: str, expected: tuple[str, str]
) -> None:
    made = environ(environs(**how), path=path, prefix="/api")
    assert (made["SCRIPT_NAME"], made["PATH_INFO"]) == expected


def test_environs_are_independent() -> None:
    shared = environs()
    first = environ(shared, method="POST", path="/first", query=b"a=1", headers=[(b"x", b"1")], http_version="1.0")
    assert first["SERVER_PROTOCOL"] == "HTTP/1.0"
    second = environ(shared)
    assert (second["REQUEST_METHOD"], second["PATH_INFO"], second["QUERY_STRING"]) == ("GET", "/", "")
    assert second["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert "HTTP_X" not in second


def test_the_target_has_path_and_query_as_received() -> None:
    made = environ(path="/a b", raw_path=b"/a%20b", query=b"q=%20")
    assert (made["PATH_INFO"], made["QUERY_STRING"]) == ("/a b", "q=%20")
    assert made["RAW_URI"] == made["REQUEST_URI"] == "/a%20b?q=%20"


@pytest.mark.parametrize(
    ("path", "raw_path", "expected"),
    [
        ("/\xe9", b"/%C3%A9", "/\xc3\xa9"),  # text is decoded as Latin-1 (PEP 3333, "Unicode Issues")
        ("/\ufffd", b"/%FF", "/\xff"),  # bytes that are not UTF-8 are kept
        ("*", b"*", "/"),
    ],
)
def test_paths_are_native_strings(path: str, raw_path: bytes, expected: str) -> None:
    assert environ(path=path, raw_path=raw_path)["PATH_INFO"] == expected


def test_the_method_options_of_the_whole_server_has_its_own_target() -> None:
    assert environ(method="OPTIONS", path="*", raw_path=b"*")["RAW_URI"] == "*"


@pytest.mark.parametrize(
    ("root", "kept", "path", "script_name", "path_info"),
    [
        ("/app", "", "/page", "/app", "/page"),
        ("", "/app", "/app/page", "/app", "/page"),
        ("", "/app", "/app", "/app", ""),
        ("", "/app", "/application", "", "/application"),
        ("", "/app", "/page", "", "/page"),
    ],
)
def test_the_prefix_of_a_proxy_or_a_mount(root: str, kept: str, path: str, script_name: str, path_info: str) -> None:
    made = environ(environs(root=root, kept=kept), path=path)
    assert (made["SCRIPT_NAME"], made["PATH_INFO"]) == (script_name, path_info)


def test_fields_with_one_name_are_joined() -> None:
    made = environ(
        headers=[(b"accept", b"a"), (b"cookie", b"x=1"), (b"accept", b"b"), (b"cookie", b"y=2"), (b"x-b", b"\xe9")]
    )
    assert made["HTTP_ACCEPT"] == "a,b"
    assert made["HTTP_COOKIE"] == "x=1; y=2"
    assert made["HTTP_X_B"] == "\xe9"


def test_fields_of_the_body_have_no_prefix() -> None:
    made = environ(content_length=3, headers=[(b"content-type", b"text/plain"), (b"content-length", b"3")])
    assert (made["CONTENT_TYPE"], made["CONTENT_LENGTH"]) == ("text/plain", "3")
    assert not [key for key in made if key.startswith("HTTP_")]


def test_a_chunked_body_is_complete_and_has_a_length() -> None:
    made = environ(content_length=-1, body_size=17, body="input", headers=[(b"transfer-encoding", b"chunked")])
    assert made["CONTENT_LENGTH"] == "17"
    assert made["wsgi.input"] == "input"
    assert "HTTP_TRANSFER_ENCODING" not in made


def test_the_field_proxy_is_dropped() -> None:
    """CVE-2016-5385: libraries take HTTP_PROXY for a setting."""
    assert "HTTP_PROXY" not in environ(headers=[(b"proxy", b"http://evil")])


@pytest.mark.parametrize(("header_map", "expected"), [("drop", "real"), ("dangerous", "real,forged")])
def test_names_with_underscores(header_map: str, expected: str) -> None:
    headers = [(b"x-user", b"real"), (b"x_user", b"forged")]
    shared = environs(header_map=header_map)
    for _ in range(2):
        assert environ(shared, headers=headers)["HTTP_X_USER"] == expected


def test_more_names_than_are_remembered() -> None:
    shared = environs()
    for number in range(3000):
        assert environ(shared, headers=[(b"x-%d" % number, b"v")])[f"HTTP_X_{number}"] == "v"


def test_a_client_of_a_unix_socket_has_no_port() -> None:
    made = environ(client=None, server=("/run/ianus.sock", None))
    assert made["REMOTE_ADDR"] == ""
    assert "REMOTE_PORT" not in made
    assert (made["SERVER_NAME"], made["SERVER_PORT"]) == ("localhost", "80")


def test_a_second_address_of_the_server() -> None:
    shared = environs()
    assert environ(shared, server=("192.0.2.80", 8000))["SERVER_PORT"] == "8000"
    assert environ(shared, server=("192.0.2.81", 9000))["SERVER_PORT"] == "9000"
    assert environ(shared, server=("192.0.2.80", 8000))["SERVER_PORT"] == "8000"


def test_early_hints_are_there_if_they_are_offered() -> None:
    assert environ(hints="function")["wsgi.early_hints"] == "function"
    assert "wsgi.early_hints" not in environ()
