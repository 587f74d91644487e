"""The parsers of values: accepted input, results, and messages about other input."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ianus.settings import proxy_values, values
from ianus.settings.values import FdBind, Mount, NamedFdBind, Parser, TcpBind, UnixBind
from tests.engine import line_format
from tests.rows import for_each_row


def refusal(parse: Parser, value: object) -> str:
    with pytest.raises(ValueError, match=r"\.$") as caught:
        parse(value)
    return str(caught.value)


@for_each_row(("value", "result"), [(5, 5), ("5", 5), ("005", 5), (1, 1), (10, 10)])
def test_integers(value: object, result: int) -> None:
    assert values.integer(1, 10)(value) == result


@for_each_row("value", ["", "x", "5.0", "1_0", " 5", "5 ", "0x5", "\u0665", "+5", 5.0, True, None, "9" * 20])
def test_invalid_integers(value: object) -> None:
    assert (
        refusal(values.integer(1, 10, "bytes"), value)
        == f"{values.format_value(value)} is not a whole number of bytes."
    )


@for_each_row("value", [0, 11, "0", "-1", "11"])
def test_integers_out_of_range(value: object) -> None:
    assert refusal(values.integer(1, 10), value) == f"{int(str(value))} is out of range; it can be 1 to 10."


@for_each_row(
    ("value", "result"),
    [
        (65536, 65536),
        ("65536", 65536),
        ("64k", 65536),
        ("64K", 65536),
        ("64kb", 65536),
        ("64KiB", 65536),
        ("1M", 1 << 20),
        ("1MB", 1 << 20),
        ("1MiB", 1 << 20),
        ("1G", 1 << 30),
        ("2gib", 2 << 30),
        ("0", 0),
        ("0K", 0),
    ],
)
def test_sizes(value: object, result: int) -> None:
    assert values.size(0, 1 << 40)(value) == result


@for_each_row("value", ["", "K", "64 K", "1.5M", "64T", "-1K", "64KBB", 1.0, True, None])
def test_invalid_sizes(value: object) -> None:
    expected = f"{values.format_value(value)} is not a whole number of bytes, such as 65536 or 64K."
    assert refusal(values.size(0, 1 << 40), value) == expected


def test_sizes_out_of_range() -> None:
    assert refusal(values.size(64, 1024), "2K") == "2048 is out of range; it can be 64 to 1024."


@for_each_row(
    ("value", "result"),
    [
        (0, 0.0),
        (1, 1.0),
        (2.5, 2.5),
        ("2.5", 2.5),
        (".5", 0.5),
        ("10", 10.0),
        ("500ms", 0.5),
        ("30s", 30.0),
        ("1.5s", 1.5),
        ("5m", 300.0),
        ("1h", 3600.0),
        (".5h", 1800.0),
    ],
)
def test_seconds(value: object, result: float) -> None:
    made = values.seconds(value)
    assert made == result
    assert isinstance(made, float)


@for_each_row("value", ["", "x", "s", "3 s", "3d", "3S", "1m30s", "1e3", "nan", "inf", "1.", False, None])
def test_invalid_times(value: object) -> None:
    assert (
        refusal(values.seconds, value)
        == f"{values.format_value(value)} is not a time, such as 10 or 0.5 (seconds), 500ms, 5m or 1h."
    )


@for_each_row("value", [-1, "-1", "-1s", -0.5, float("nan"), float("inf"), 1e9, "999999h"])
def test_seconds_out_of_range(value: object) -> None:
    assert refusal(values.seconds, value) == f"{value} is out of range; a time is at least 0."


def test_plain_milliseconds() -> None:
    assert values.milliseconds("250") == "250ms"
    assert refusal(values.milliseconds, "5s") == "'5s' is not a whole number of milliseconds."


def test_booleans() -> None:
    for value in (True, "1", "true", "True", "yes", "ON"):
        assert values.boolean(value) is True
    for value in (False, "0", "false", "FALSE", "no", "off"):
        assert values.boolean(value) is False
    for other in (1, 0, "", "2", "y", None):
        assert refusal(values.boolean, other) == f"{values.format_value(other)} is neither true nor false."


def test_choices() -> None:
    kind = values.choice("auto", "on")
    assert kind("on") == kind("ON") == "on"
    with pytest.raises(ValueError, match=r"^'onn' is not one of auto, on\. Did you mean on\?$"):
        kind("onn")
    for value in ("on1", "", None, True):
        assert refusal(kind, value) == f"{values.format_value(value)} is not one of auto, on."


@for_each_row(("value", "number"), [("auto", "auto"), ("AUTO", "auto"), ("1", 1), (7, 7), ("1024", 1024)])
def test_numbers_or_auto(value: object, number: object) -> None:
    assert values.threads(value) == values.workers(value) == number


@for_each_row("value", ["", "-1", -1, 10001, "many", 1.0, False, None])
def test_invalid_numbers_or_auto(value: object) -> None:
    expected = f"{values.format_value(value)} is neither auto nor a number of "
    assert refusal(values.threads, value) == f"{expected}threads from 1 to 1024."
    assert refusal(values.workers, value) == f"{expected}processes from 1 to 10000."


@pytest.mark.parametrize("value", ["0", 0])
def test_the_error_of_zero_has_the_word_auto(value: object) -> None:
    expected = f"{values.format_value(value)} is neither auto nor a number of threads from 1 to 1024; write auto."
    assert refusal(values.threads, value) == expected


def test_texts() -> None:
    assert values.text("a b") == "a b"
    for value in ("a\0b", 3, None):
        assert "is not a text" in refusal(values.text, value)


def test_paths() -> None:
    assert values.path(Path("a") / "b") == values.path("a/b") == "a/b"
    for value in ("a\0b", 3, b"a", Path("a\0b")):
        assert "is not a text" in refusal(values.path, value)


def test_files_of_logs() -> None:
    assert values.log_file("-") == "-"
    assert values.log_file(Path("a")) == "a"
    assert refusal(values.log_file, "") == "a file name cannot be empty; write - for the standard stream."


@for_each_row(
    ("value", "result"),
    [(None, None), ("660", 0o660), ("0660", 0o660), ("0o660", 0o660), (0o600, 0o600), ("0", 0)],
)
def test_permissions(value: object, result: int | None) -> None:
    assert values.permissions(value) == result


@for_each_row("value", ["", "888", "rw", "1777", -1, 0o1000, True])
def test_invalid_permissions(value: object) -> None:
    assert "give octal digits such as '660'" in refusal(values.permissions, value)


def test_accounts() -> None:
    for value, name in [("", ""), ("www-data", "www-data"), ("33", "33"), (33, "33"), (0, "0")]:
        assert values.account(value) == name
    for value in ("www data", "www:data", "a\0", -1, True, 1.5, None):
        expected = f"{values.format_value(value)} is neither the name nor the number of an account."
        assert refusal(values.account, value) == expected


def test_hooks() -> None:
    assert values.hooks("python:a.b") == "a.b"
    assert values.hooks("file:./a b.py") == "file:./a b.py"
    assert refusal(values.hooks, "file:").startswith("'file:' is not the name of a module, such as")
    for value in ("", "hooks", "project.hooks", "_h2"):
        assert values.hooks(value) == value
    for value, hint in [
        ("hooks.py", "; write hooks."),
        ("./project/hooks.py", "; write project.hooks."),
        ("../hooks.py", ", such as hooks or project.hooks."),
        ("project:hooks", ", such as hooks or project.hooks."),
        ("a..b", ", such as hooks or project.hooks."),
    ]:
        assert refusal(values.hooks, value) == f"{value!r} is not the name of a module{hint}"


@for_each_row(("value", "result"), [("", ""), ("/", ""), ("/api", "/api"), ("/api/", "/api"), ("/a/b", "/a/b")])
def test_root_paths(value: str, result: str) -> None:
    assert values.root_path(value) == result


@for_each_row(
    ("value", "expected"),
    [
        ("api", "write /api"),
        ("/a b", "is not a path prefix"),
        ("/a?b", "is not a path prefix"),
        (3, "is not a path"),
    ],
)
def test_invalid_root_paths(value: object, expected: str) -> None:
    assert expected in refusal(values.root_path, value)


@for_each_row(
    ("value", "result"),
    [
        ("127.0.0.1", ("127.0.0.1",)),
        ("10.0.0.0/8, ::1,unix", ("10.0.0.0/8", "::1", "unix")),
        ("10.0.0.0/8 192.0.2.1/32", ("10.0.0.0/8", "192.0.2.1")),
        (["10.0.0.0/8", "*"], ("10.0.0.0/8", "*")),
        ("[2001:DB8::]/32,[::1],unix:", ("2001:db8::/32", "::1", "unix")),
        ("*", ("*",)),
        ("", ()),
        ([], ()),
    ],
)
def test_peers(value: object, result: tuple[str, ...]) -> None:
    assert proxy_values.peers(value) == result
    assert proxy_values.peers(",".join(result)) == result


@for_each_row(
    ("value", "expected"),
    [
        ("nginx", "'nginx' is not an address, a network such as 10.0.0.0/8, unix or *; names of hosts cannot be"),
        ("localhost", "'localhost' is not an address; write 127.0.0.1,::1."),
        ("10.0.0.5/8", "'10.0.0.5/8' is an address in a network; write 10.0.0.0/8 for the network."),
        ("10.0.0.0/33", "'10.0.0.0/33' is not an address"),
        ("10.0.0.01", "'10.0.0.01' is not an address"),
        ("fe80::1%eth0", "'fe80::1%eth0' has a zone; remove it."),
        ("\u0661.0.0.1", "is not an address"),
        (127, "127 is not a list of addresses"),
        ([127], "127 is not an address"),
    ],
)
def test_invalid_peers(value: object, expected: str) -> None:
    assert expected in refusal(proxy_values.peers, value)


@for_each_row(
    ("value", "result"),
    [
        ("for", ("for",)),
        ("prefix,proto, for", ("for", "proto", "prefix")),
        ("x-forwarded-for X-Forwarded-Proto x-forwarded-host x-forwarded-port", ("for", "proto", "host", "port")),
        (["host", "for"], ("for", "host")),
        ([], ()),
    ],
)
def test_forwarded_fields(value: object, result: tuple[str, ...]) -> None:
    assert proxy_values.forwarded_fields(value) == result


@for_each_row(
    ("value", "expected"),
    [
        ("", "'' is not one of for, proto, host, port, prefix."),
        ("by", "'by' is not one of for, proto, host, port, prefix."),
        ("forwarded", "'forwarded' is a family of fields; write --forwarded-headers forwarded."),
        (1, "1 is not a list of fields, such as for,proto,host."),
        ([1], "1 is not one of for, proto, host, port, prefix."),
    ],
)
def test_invalid_forwarded_fields(value: object, expected: str) -> None:
    assert refusal(proxy_values.forwarded_fields, value) == expected


@for_each_row(
    ("value", "mount"),
    [
        ("/api=api:app", Mount("/api", "api:app")),
        ("/api/=api:app", Mount("/api", "api:app")),
        ("/a/b.c=a.b:c.d()", Mount("/a/b.c", "a.b:c.d()")),
        (("/api", "api:app"), Mount("/api", "api:app")),
        (["/api", print], Mount("/api", print)),
        (Mount("/\xe4/", print), Mount("/\xe4", print)),
    ],
)
def test_mounts(value: object, mount: Mount) -> None:
    assert values.mount(value) == mount


@for_each_row(
    ("value", "expected"),
    [
        (
            "",
            "'' does not name a path and an application; write /PATH=MODULE:ATTRIBUTE, as in /api=api:app, or ",
        ),
        ("/api", "'/api' does not name a path and an application; "),
        ("/api=", "'/api=' does not name a path and an application; "),
        ("api:app", "'api:app' does not name a path and an application; "),
        (("/api", None), "('/api', None) does not name a path and an application; "),
        (("/api", "api:app", 1), "('/api', 'api:app', 1) does not name a path and an application; "),
        (3, "3 does not name a path and an application; "),
        ((3, "api:app"), "3 is not a path prefix such as /api."),
        ("=api:app", "'' is the path of APP; mount at another one, such as /api."),
        ("//=api:app", "'//' is the path of APP; mount at another one, such as /api."),
        ("/a//b=api:app", "'/a//b' has an empty segment; remove a slash."),
        ("//a=api:app", "'//a' has an empty segment; remove a slash."),
        ("api=api:app", "'api' does not start with a slash; write /api."),
        ("/a?b=api:app", "'/a?b' is not a path prefix such as /api."),
        (("/a", "b\0"), "'b\\x00' is not a text."),
    ],
)
def test_invalid_mounts(value: object, expected: str) -> None:
    assert refusal(values.mount, value).startswith(expected)


def test_mounts_as_text() -> None:
    assert values.mount_to_text(Mount("/api", "api:app")) == "/api=api:app"


@pytest.mark.parametrize("value", ["", "x-request-id", "X-Request-ID"])
def test_names_of_fields(value: str) -> None:
    assert values.field_name(value) == value.lower()


@for_each_row("value", ["a b", "a:", "a\r", "\xe4", None])
def test_invalid_field_names(value: object) -> None:
    assert refusal(values.field_name, value) == f"{value!r} is not the name of a header field, such as x-request-id."


@pytest.mark.parametrize(
    "value",
    ["", "100%%%(s)s", '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%({Referer}i)s" %({a-b}o)s %({HOME}e)s %(L)s'],
)
def test_formats_of_the_access_log(value: str) -> None:
    assert values.access_log_format(value) == value
    line_format(value)  # The log can write every accepted format.


@for_each_row("atom", [*"hlutrmUqHsBbfaTDMLp", "{a}i", "{a}o", "{a}e", *"cRPx", "{}i", "{a}x", ""])
def test_the_settings_and_the_log_know_the_same_atoms(atom: str) -> None:
    def accepts(check: Callable[[str], object]) -> bool:
        try:
            check(f"%({atom})s")
        except ValueError:
            return False
        return True

    assert accepts(values.check_access_log_format) == accepts(line_format)


@for_each_row(
    ("value", "shown"),
    [("%", "'%'"), ("a %h b", "'%h'"), ("%(x)s", "'%(x)s'"), ("%(h)d", "'%(h)d'"), ("%({}i)s", "'%({}i)s'")],
)
def test_invalid_atoms_of_the_access_log(value: str, shown: str) -> None:
    assert refusal(values.access_log_format, value).startswith(f"{shown} is not an atom of an access log; ")


@pytest.mark.parametrize("value", ["combined", "100%%", "%%(h)s"])
def test_a_format_shows_something(value: str) -> None:
    assert refusal(values.access_log_format, value).startswith(f"{value!r} has no atom; ")


def test_a_format_is_one_line_of_text() -> None:
    assert "is not one line" in refusal(values.access_log_format, "a\nb")
    assert "is not a text" in refusal(values.access_log_format, 3)


# --- Addresses ---


@for_each_row(
    ("value", "result", "shown"),
    [
        ("127.0.0.1:8000", TcpBind("127.0.0.1", 8000), "127.0.0.1:8000"),
        ("localhost:0", TcpBind("localhost", 0), "localhost:0"),
        ("example.org:65535", TcpBind("example.org", 65535), "example.org:65535"),
        ("[::1]:8000", TcpBind("::1", 8000), "[::1]:8000"),
        ("[fe80::1%eth0]:80", TcpBind("fe80::1%eth0", 80), "[fe80::1%eth0]:80"),
        (":8000", TcpBind("", 8000), "*:8000"),
        ("*:8000", TcpBind("", 8000), "*:8000"),
        ("8000", TcpBind("127.0.0.1", 8000), "127.0.0.1:8000"),
        ("unix:/run/app.sock", UnixBind("/run/app.sock"), "unix:/run/app.sock"),
        ("unix:///run/app.sock", UnixBind("/run/app.sock"), "unix:/run/app.sock"),
        ("unix:app.sock", UnixBind("app.sock"), "unix:app.sock"),
        ("localhost", TcpBind("localhost", 8000), "localhost:8000"),
        ("[::1]", TcpBind("::1", 8000), "[::1]:8000"),
        ("tcp://[::1]:80/", TcpBind("::1", 80), "[::1]:80"),
        ("fd://3", FdBind(3), "fd://3"),
        ("fd://shop.socket", NamedFdBind("shop.socket"), "fd://shop.socket"),
    ],
)
def test_addresses(value: str, result: Any, shown: str) -> None:
    assert values.bind(value) == result
    assert values.bind(result) == result
    assert str(result) == shown


@for_each_row(
    ("value", "expected"),
    [
        ("", "has no port"),
        ("localhost:", "has no port; write localhost:8000"),
        ("[::1]:", "has no port; write [::1]:8000"),
        ("::1:8000", "an IPv6 address needs brackets"),
        ("::", "an IPv6 address needs brackets"),
        ("[localhost]:80", "brackets are for IPv6 addresses; write localhost:80"),
        ("127.0.0.1:http", "'http' is not a port"),
        ("127.0.0.1:65536", "ports are 0 to 65535"),
        ("127.0.0.1:-1", "'-1' is not a port"),
        ("99999", "ports are 0 to 65535"),
        ("http://127.0.0.1:80", "write 127.0.0.1:80."),
        ("fd:3", "write fd://3."),
        ("fd:/x", "write fd://x."),
        ("unix://run/app.sock", "write unix:/run/app.sock for the path /run/app.sock."),
        ("unix:unix:x", "write unix:x."),
        ("http://localhost", "write HOST:PORT, unix:PATH or fd://N"),
        ("localhost:80/api", "write HOST:PORT, unix:PATH or fd://N"),
        ("/run/app.sock", "write unix:/run/app.sock."),
        ("./app", "write unix:./app."),
        ("app.sock", "write unix:app.sock."),
        ("a b:80", "is not an address"),
        ("unix:", "write unix:/run/app.sock"),
        ("unix:@name", "abstract sockets are not supported"),
        ("fd://", "write fd://3"),
        ("fd://3x", "write fd://3"),
        ("fd://a:b", "write fd://3"),
        (8000, 'is not an address such as 127.0.0.1:8000; write it in quotes: "8000".'),
        (",", "',' is not an address such as 127.0.0.1:8000."),
        ("127.0.0.1,127.0.0.2:80", "is not an address such as 127.0.0.1:8000."),
    ],
)
def test_invalid_addresses(value: object, expected: str) -> None:
    message = refusal(values.bind, value)
    assert expected in message
    assert repr(value) in message


@for_each_row(
    ("value", "result"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "localhost"),
        ("::1", "::1"),
        ("::", "::"),
        ("[::1]", "::1"),
        ("", ""),
        ("*", ""),
    ],
)
def test_hosts(value: str, result: str) -> None:
    assert values.host(value) == result


@pytest.mark.parametrize("value", ["0.0.0.0:80", "[::1]:80", "localhost:8000"])
def test_a_host_has_no_port(value: str) -> None:
    assert refusal(values.host, value) == f"{value!r} is an address with a port; write --bind {value}."


@for_each_row("value", ["a b", "http://x", "unix:/x", "a/b", 3, None, True])
def test_invalid_hosts(value: object) -> None:
    assert refusal(values.host, value) == f"{values.format_value(value)} is not a host name or a numeric address."


@for_each_row(("value", "result"), [(0, 0), (8000, 8000), ("8000", 8000), ("65535", 65535)])
def test_ports(value: object, result: int) -> None:
    assert values.port(value) == result


@for_each_row("value", ["", "http", -1, "-1", 65536, "65536", "/run/app.pid", 80.0, True, None])
def test_invalid_ports(value: object) -> None:
    assert "is not a port; ports are 0 to 65535" in refusal(values.port, value)


# --- Header fields ---


@for_each_row(
    ("value", "result"),
    [
        ("X-Frame-Options: DENY", (b"x-frame-options", b"DENY")),
        ("a:b", (b"a", b"b")),
        ("a: \t b c \t", (b"a", b"b c")),
        ("a:", (b"a", b"")),
        ("a: b: c", (b"a", b"b: c")),
        ("a: \xe4", (b"a", b"\xe4")),
        (("A", "b"), (b"a", b"b")),
        ([b"A", b"b"], (b"a", b"b")),
    ],
)
def test_header_fields(value: object, result: tuple[bytes, bytes]) -> None:
    assert values.header(value) == result


@for_each_row("value", ["", "a", ": b", "a b: c", "a : b", "a: b\r\nc: d", "a: \0", "a: \u20ac", 3, ("a",), ("a", 1)])
def test_invalid_header_fields(value: object) -> None:
    assert refusal(values.header, value) == f"{value!r} is not a header field; write 'Name: value'."


@for_each_row("name", ["Content-Length", "transfer-encoding", "CONNECTION", "Keep-Alive", "Upgrade"])
def test_fields_that_frame_the_message_cannot_be_added(name: str) -> None:
    assert refusal(values.header, f"{name}: x") == f"{name} is set by the server itself and cannot be added."


# --- Values as text ---


@for_each_row(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.25, "250ms"),
        (1.0, "1s"),
        (1.5, "1500ms"),
        (75.0, "75s"),
        (60.0, "1m"),
        (3600.0, "1h"),
        (5400.0, "90m"),
        (0.0001, "0.0001"),
        (1.00001, "1.00001"),
    ],
)
def test_times_as_text(value: float, shown: str) -> None:
    assert values.seconds_to_text(value) == shown
    assert values.seconds(shown) == value


@for_each_row("value", ["unix:/run/a.sock", "127.0.0.1:9000", "127.3.2.1:1", "[::1]:9000", "localhost:9"])
def test_addresses_of_the_admin_socket(value: str) -> None:
    assert str(values.admin_bind(value)) == value
    assert values.admin_bind("9000") == values.TcpBind("127.0.0.1", 9000)
    assert values.admin_bind("") is None


@for_each_row("value", ["0.0.0.0:9000", ":9000", "[::]:9000", "10.1.2.3:9000", "name:9000", "127.1:9000"])
def test_the_admin_socket_is_for_this_machine_alone(value: str) -> None:
    problem = "can be reached from other machines; write unix:PATH or 127.0.0.1:9000."
    assert refusal(values.admin_bind, value) == f"{value!r} {problem}"
    assert refusal(values.admin_bind, "fd://3") == "'fd://3' is a descriptor; write unix:PATH or 127.0.0.1:PORT."


@for_each_row(
    ("value", "path"), [("", ""), ("/up", "/up"), ("/", "/"), ("/a/b-c_d.e~f%20g;h=i", "/a/b-c_d.e~f%20g;h=i")]
)
def test_request_paths(value: str, path: str) -> None:
    assert values.request_path(value) == path


@for_each_row("value", ["/a b", "/ä", "/a?b", "/a#b", "http://h/up", 3])
def test_request_paths_are_written_as_in_a_request_line(value: object) -> None:
    assert "is not a path such as /up; encode other characters with %." in refusal(values.request_path, value)


def test_request_targets_may_have_a_query() -> None:
    for value in ("/", "/shop", "/shop?page=1&x=%20?/"):
        assert values.request_target(value) == value
    for wrong in ("", "/a?b c", "/a?b#c", "shop", "?x", None):
        assert refusal(values.request_target, wrong)


def test_a_request_path_starts_with_a_slash() -> None:
    assert refusal(values.request_path, "up") == "'up' does not start with a slash; write /up."


@for_each_row(
    ("value", "shown"),
    [(0, "0"), (240, "240"), (1000, "1000"), (1024, "1K"), (1025, "1025"), (1 << 20, "1M"), (3 << 29, "1536M")],
)
def test_sizes_as_text(value: int, shown: str) -> None:
    assert values.size_to_text(value) == shown
    assert values.size(0, 1 << 40)(shown) == value
