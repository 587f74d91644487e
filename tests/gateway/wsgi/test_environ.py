"""The environ dictionaries, without a connection."""

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import DNSName, RFC822Name

from ianus.gateway.wsgi.empty_input import EMPTY_INPUT
from ianus.gateway.wsgi.environ import Environs
from ianus.gateway.wsgi.recording import make_environ
from tests import certificates
from tests.certificates import intermediate, name_of
from tests.exchange.tls import tls_facts
from tests.rows import for_each_row

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
        "wsgi.input": EMPTY_INPUT,
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


@for_each_row(
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


def test_the_addresses_of_the_first_client_are_not_those_of_the_next_one() -> None:
    shared = environs()
    for client in [("192.0.2.1", 4711), ("192.0.2.2", 65535), ("192.0.2.1", 80)]:
        made = environ(shared, client=client)
        assert (made["REMOTE_ADDR"], made["REMOTE_PORT"]) == (client[0], str(client[1]))
    assert environ(shared, client=None)["REMOTE_ADDR"] == ""


def test_values_that_recur_are_made_once() -> None:
    shared = environs()
    values = [environ(shared, headers=[(b"accept", bytes([47, 233]))])["HTTP_ACCEPT"] for _ in range(2)]
    assert values[0] == "/\xe9"
    assert values[0] is values[1]
    for number in range(100):
        for value in (b"%d" % number, b"x" * number * 10, b"/\xe9"):
            assert environ(shared, headers=[(b"accept", value)])["HTTP_ACCEPT"] == value.decode("latin-1")


def test_a_value_that_recurs_after_many_others_is_made_once_again() -> None:
    shared = environs()
    for number in range(100):
        environ(shared, headers=[(b"accept", b"%d" % number)])
    values = [environ(shared, headers=[(b"accept", b"again")])["HTTP_ACCEPT"] for _ in range(20)]
    assert values[-1] is values[-2]


@pytest.mark.parametrize("target", [b"/?", b"//", b"/%2F"])
def test_the_root_has_targets_of_other_forms(target: bytes) -> None:
    made = environ(path="/", raw_path=target)
    assert made["PATH_INFO"] == "/"
    assert made["RAW_URI"] == target.decode()


def test_early_hints_are_there_if_they_are_offered() -> None:
    assert environ(hints="function")["wsgi.early_hints"] == "function"
    assert "wsgi.early_hints" not in environ()


# ---------------------------------------------------------------- TLS


def ssl_variables(**facts: Any) -> dict[str, Any]:
    made = environ(https=True, tls=tls_facts(**facts))
    assert (made["wsgi.url_scheme"], made["HTTPS"]) == ("https", "on")
    return {name: value for name, value in made.items() if name.startswith("SSL_")}


def test_the_variables_of_tls() -> None:
    expected = {"SSL_PROTOCOL": "TLSv1.3", "SSL_CIPHER": "TLS_AES_256_GCM_SHA384", "SSL_CLIENT_VERIFY": "NONE"}
    assert ssl_variables() == expected
    assert ssl_variables(server_name="example.org") == expected | {"SSL_TLS_SNI": "example.org"}


@pytest.mark.parametrize("https", [False, True])
def test_a_plain_connection_has_no_variables_of_tls(https: bool) -> None:
    # A proxy may report https; a client may send any field.
    made = environ(https=https, headers=[(b"ssl-client-verify", b"SUCCESS")])
    assert [name for name in made if name.startswith("SSL_")] == []


def test_the_variables_of_a_client_certificate() -> None:
    made = intermediate().issue(
        subject=name_of(
            organization_name="Bl\xfcte, Inc.", common_name="client", email_address="a@example.org"
        ),
        not_before=datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        not_after=datetime.datetime(2036, 12, 31, 23, 59, 59, tzinfo=datetime.UTC),
        for_client=True,
        further_names=(DNSName("a.example"), DNSName("b.example"), RFC822Name("b@example.org")),
    )  # fmt: skip
    found = ssl_variables(client_chain=(made.der, intermediate().der))
    assert int(found.pop("SSL_CLIENT_M_SERIAL"), 16) == made.certificate.serial_number
    assert found.pop("SSL_CLIENT_CERT").encode() == made.pem
    assert found.pop("SSL_CLIENT_CERT_CHAIN_0").encode() == intermediate().pem
    # UTF-8, decoded as Latin-1
    organization = "Bl\xc3\xbcte"
    assert found == {
        "SSL_PROTOCOL": "TLSv1.3",
        "SSL_CIPHER": "TLS_AES_256_GCM_SHA384",
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_M_VERSION": "3",
        "SSL_CLIENT_S_DN": f"CN=client,emailAddress=a@example.org,O={organization}\\, Inc.",
        "SSL_CLIENT_S_DN_O": f"{organization}, Inc.",
        "SSL_CLIENT_S_DN_CN": "client",
        "SSL_CLIENT_S_DN_Email": "a@example.org",
        "SSL_CLIENT_I_DN": "CN=Test Intermediate",
        "SSL_CLIENT_I_DN_CN": "Test Intermediate",
        "SSL_CLIENT_V_START": "Jan  2 03:04:05 2026 GMT",
        "SSL_CLIENT_V_END": "Dec 31 23:59:59 2036 GMT",
        "SSL_CLIENT_SAN_DNS_0": "a.example",
        "SSL_CLIENT_SAN_DNS_1": "b.example",
        "SSL_CLIENT_SAN_Email_0": "b@example.org",
    }


def test_several_attributes_of_a_kind_are_numbered() -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, text) for text in ("first", "second")])
    found = ssl_variables(client_chain=(intermediate().issue(subject=name, for_client=True).der,))
    assert found["SSL_CLIENT_S_DN_OU"] == found["SSL_CLIENT_S_DN_OU_0"] == "first"
    assert found["SSL_CLIENT_S_DN_OU_1"] == "second"


def test_a_client_certificate_that_was_not_verified() -> None:
    found = ssl_variables(client_chain=(certificates.client().der,), client_error="certificate has expired")
    assert found["SSL_CLIENT_VERIFY"] == "FAILED:certificate has expired"
    found = ssl_variables(client_chain=(b"\x30\x00",))
    assert found["SSL_CLIENT_VERIFY"].startswith("FAILED:the certificate cannot be read")
    assert "SSL_CLIENT_S_DN" not in found


def fields_of(made: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in made.items() if key.startswith(("HTTP_", "CONTENT_"))}


def test_requests_with_the_fields_of_an_earlier_one_have_their_own_values() -> None:
    made_by = environs()
    first = environ(made_by, headers=[(b"host", b"a"), (b"proxy", b"x"), (b"cookie", b"session=1")])
    assert fields_of(first) == {"HTTP_HOST": "a", "HTTP_COOKIE": "session=1"}
    # Changes of the application are its own.
    first["HTTP_HOST"] = "changed"
    first["HTTP_NEW"] = ""
    for value in (b"session=2", b"session=1", b"", b"session=1"):
        made = environ(made_by, headers=[(b"host", b"a"), (b"proxy", b"y"), (b"cookie", value)])
        assert fields_of(made) == {"HTTP_HOST": "a", "HTTP_COOKIE": value.decode()}
    # A prefix of the names, further names, another order
    assert fields_of(environ(made_by, headers=[(b"host", b"a")])) == {"HTTP_HOST": "a"}
    assert fields_of(environ(made_by)) == {}
    made = environ(made_by, headers=[(b"cookie", b"session=1"), (b"proxy", b""), (b"host", b"b")])
    assert fields_of(made) == {"HTTP_HOST": "b", "HTTP_COOKIE": "session=1"}


def test_after_some_requests_of_another_client_its_fields_are_known() -> None:
    made_by = environs()
    for number in range(40):
        client = b"one" if number < 20 else b"two"
        made = environ(made_by, headers=[(b"x-" + client, b"%d" % number), (b"content-type", client)])
        assert fields_of(made) == {f"HTTP_X_{client.decode().upper()}": str(number), "CONTENT_TYPE": client.decode()}


def test_repeated_fields_are_joined_in_each_request() -> None:
    made_by = environs()
    for number in range(20):
        made = environ(made_by, headers=[(b"cookie", b"a=%d" % number), (b"cookie", b"b"), (b"x", b"1"), (b"x", b"2")])
        assert fields_of(made) == {"HTTP_COOKIE": f"a={number}; b", "HTTP_X": "1,2"}


def test_known_fields_have_the_addresses_of_their_own_request() -> None:
    made_by = environs()
    headers = [(b"host", b"a")]
    for port in (1, 2):
        made = environ(made_by, client=(f"192.0.2.{port}", port), server=("192.0.2.80", 8000 + port), headers=headers)
        assert (made["REMOTE_ADDR"], made["REMOTE_PORT"]) == (f"192.0.2.{port}", str(port))
        assert made["SERVER_PORT"] == str(8000 + port)
    assert "CONTENT_LENGTH" not in environ(made_by, headers=headers)
    made = environ(made_by, headers=headers, content_length=-1, body_size=5)
    assert made["CONTENT_LENGTH"] == "5"
