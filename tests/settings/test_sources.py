"""The sources: their files and variables, their priority, the origin of a value, messages about mistakes."""

import builtins
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ianus.errors import ConflictError, SettingError, StartupError
from ianus.settings.layers import Given
from ianus.settings.schema import Settings, table
from ianus.settings.sources import Configuration, Reader, read_sources, settings_to_serve
from ianus.settings.tls_values import PROTECTING
from ianus.settings.values import FdBind, Mount, TcpBind, UnixBind
from tests.rows import for_each_row

pytestmark = pytest.mark.usefixtures("nowhere")


def read(line: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Configuration:
    given = [
        Given(name, value, f"--{name.replace('_', '-')}", f"command line --{name.replace('_', '-')}")
        for name, value in (line or {}).items()
    ]
    return read_sources(given, dict(environ or {}))


def refusal(line: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(SettingError, match=r"\S[.?]( \(.*\))?$") as caught:
        read(line, environ)
    assert caught.value.exit_code == (3 if isinstance(caught.value, ConflictError) else 2)
    return caught.value.message


def test_without_a_source_all_is_default() -> None:
    assert read() == Configuration("", Settings(), {}, ())


# --- Which one counts ---


@pytest.mark.parametrize("line", [True, False])
@pytest.mark.parametrize("environment", [True, False])
@pytest.mark.parametrize("file", [True, False])
@pytest.mark.parametrize("common", [True, False])
def test_the_uppermost_source_counts(line: bool, environment: bool, file: bool, common: bool, nowhere: Path) -> None:
    if file:
        (nowhere / "ianus.toml").write_text("workers = 4\n")
    environ = ({"IANUS_WORKERS": "3"} if environment else {}) | ({"WEB_CONCURRENCY": "5"} if common else {})
    configuration = read({"workers": "2"} if line else None, environ)
    expected, origin = next(
        (workers, origin)
        for given, workers, origin in [
            (line, 2, "command line --workers"),
            (environment, 3, "environment IANUS_WORKERS"),
            (file, 4, "ianus.toml:1"),
            (common, 5, "environment WEB_CONCURRENCY"),
            (True, 1, "default"),
        ]
        if given
    )
    assert configuration.settings.workers == expected
    assert configuration.origins.get("workers", "default") == origin


def test_a_jitter_without_its_limit_is_warned_of(nowhere: Path) -> None:
    (nowhere / "ianus.toml").write_text("limit-max-requests-jitter = 5\n")
    warning = "limit-max-requests-jitter (ianus.toml:1) has no effect without max-requests."
    assert read().warnings == (warning,)
    assert read({}, {"IANUS_WORKERS_MAX_RSS_JITTER": "5"}).warnings == (
        warning,
        "IANUS_WORKERS_MAX_RSS_JITTER has no effect without workers-max-rss.",
    )
    assert read({"workers_lifetime_jitter": "5"}).warnings[-1] == (
        "--workers-lifetime-jitter has no effect without workers-lifetime."
    )
    # A limit that is turned off on the line also disables the jitter in the file.
    assert read({"max_requests": "0"}).warnings == ()


def test_settings_of_tls_and_http2_are_warned_of_without_tls(nowhere: Path) -> None:
    assert read({"limit_handshakes": "9", "timeout_tls_handshake": "10"}).warnings == (
        "--limit-handshakes: no effect without --ssl-certfile, which turns TLS on.",
    )
    (warning,) = read({"http2": "true"}).warnings
    assert warning == (
        "--http2 has no effect without --ssl-certfile, which turns TLS on. Without TLS, clients can use HTTP/2 after"
        " --http2-cleartext."
    )
    assert read({"http2": "true", "http2_cleartext": "true"}).warnings == ()
    assert read({"tls_dev": "true", "ssl_min_version": "1.3", "http2": "true"}).warnings == ()
    assert read({"tls_dev": "true", "tls_auto_email": "a@b.example", "tls_auto_dir": ""}).warnings == (
        "--tls-auto-email: no effect without --tls-auto, since the certificate has another source.",
    )
    assert read({"tls_auto": "a.example", "tls_auto_email": "a@b.example"}).warnings == ()
    assert read({"tls_dev": "true", "ssl_ca_certs": ""}).warnings == ()


def test_authorities_of_clients_need_the_decision_whether_clients_are_asked(nowhere: Path) -> None:
    tls = {"ssl_certfile": "c", "ssl_ca_certs": "a"}
    with pytest.raises(ConflictError) as caught:
        read({"ssl_certfile": "c"}, {"IANUS_SSL_CA_CERTS": "a"})
    assert caught.value.message == (
        "IANUS_SSL_CA_CERTS needs --ssl-cert-reqs: required or optional to check certificates of clients, or none to"
        " serve every client."
    )
    assert caught.value.page == "tls"
    with pytest.raises(ConflictError, match=r"^ssl_ca_certs needs --ssl-cert-reqs"):
        settings_to_serve(tls)
    for value in ("none", "optional", "required"):
        assert read({**tls, "ssl_cert_reqs": value}).warnings == ()


def test_several_values_are_taken_from_one_source(nowhere: Path) -> None:
    (nowhere / "ianus.toml").write_text('header = ["a: 1", "b: 2"]\n')
    assert read().settings.header == ((b"a", b"1"), (b"b", b"2"))
    assert read({}, {"IANUS_HEADER": "c: 3"}).settings.header == ((b"c", b"3"),)


@for_each_row(("name", "setting", "default"), table())
def test_every_setting_is_read_from_every_source(name: str, setting: Any, default: Any, nowhere: Path) -> None:
    others = {
        "uds_permissions": "640",
        "admin_bind": "127.0.0.1:9000",
        "insecure_bind": "127.0.0.1:8080",
        "tls_auto": "a.example.org",
        "umask": "027",
        "mount": "/x=y:z",
        "header": "X: y",
        "proxy_headers": "true",
        "use_colors": "true",
        "forwarded_allow_ips": "10.0.0.0/8,unix",
        "forwarded_headers": "forwarded",
        "forwarded_fields": "for,host",
    }
    texts = setting.texts(default) or [others.get(name, "/x")]
    value = setting.check(texts if setting.repeatable else texts[0])
    needing = {each: source for source, names in PROTECTING.items() for each in names}
    source = needing.get(name, "")  # Refused without it if the value is not the default.
    beside = {source: "/y" if source == "ssl_certfile" else "a.example"} if source and value != default else {}
    by_line = read({**beside, name: texts if setting.repeatable else texts[0]})
    by_environment = read(beside, {f"IANUS_{name.upper()}": setting.separator.join(texts)} if texts[0] else {})
    file = nowhere / "ianus.toml"
    file.write_text(f"{name} = {texts if setting.repeatable else repr(texts[0])}\n")
    assert getattr(by_line.settings, name) == getattr(by_environment.settings, name) == value
    by_file = read(beside)
    assert getattr(by_file.settings, name) == value
    assert by_file.origins == {name: "ianus.toml:1"} | dict.fromkeys(
        beside, f"command line --{source.replace('_', '-')}"
    )
    file.unlink()


# --- Addresses ---


@pytest.mark.parametrize(
    ("line", "environ", "file", "expected", "origin"),
    [
        ({}, {"PORT": "5000"}, "", TcpBind("0.0.0.0", 5000), "environment PORT"),
        ({"bind": ["unix:x"]}, {"PORT": "5000"}, "", UnixBind("x"), "command line --bind"),
        ({}, {"PORT": "5000", "IANUS_BIND": ":1"}, "", TcpBind("", 1), "environment IANUS_BIND"),
        ({}, {"PORT": "5000"}, "bind = ':1'", TcpBind("", 1), "ianus.toml:1"),
        ({}, {"PORT": "none"}, "bind = ':1'", TcpBind("", 1), "ianus.toml:1"),
        ({"host": "::"}, {"PORT": "5000"}, "", TcpBind("::", 5000), "command line --host, environment PORT"),
        ({"port": "80"}, {"PORT": "5000"}, "", TcpBind("127.0.0.1", 80), "command line --port"),
        ({"host": "0.0.0.0"}, {}, "", TcpBind("0.0.0.0", 8000), "command line --host"),
        ({"port": "80"}, {}, "", TcpBind("127.0.0.1", 80), "command line --port"),
        ({"host": "::1", "port": "80"}, {}, "", TcpBind("::1", 80), "command line --host, command line --port"),
        ({"port": "80"}, {"IANUS_HOST": "::"}, "", TcpBind("::", 80), "environment IANUS_HOST, command line --port"),
        ({"port": "80"}, {}, "host = '::'", TcpBind("::", 80), "ianus.toml:1, command line --port"),
        ({"port": "80"}, {"IANUS_BIND": ":1"}, "host = '::'", TcpBind("127.0.0.1", 80), "command line --port"),
        ({}, {"IANUS_PORT": "81"}, "port = 82", TcpBind("127.0.0.1", 81), "environment IANUS_PORT"),
        ({}, {}, "port = 82", TcpBind("127.0.0.1", 82), "ianus.toml:1"),
        ({"uds": ["x"]}, {"PORT": "5000"}, "", UnixBind("x"), "command line --uds"),
        ({}, {"IANUS_FD": "3"}, "bind = ':1'", FdBind(3), "environment IANUS_FD"),
    ],
)
def test_one_source_determines_the_addresses(
    line: dict[str, Any], environ: dict[str, str], file: str, expected: Any, origin: str, nowhere: Path
) -> None:
    if file:
        (nowhere / "ianus.toml").write_text(file + "\n")
    configuration = read(line, environ)
    assert configuration.settings.bind == (expected,)
    assert configuration.origins["bind"] == origin


def test_a_socket_and_an_address_go_together() -> None:
    configuration = read({"bind": [":80"], "uds": ["x"]})
    assert configuration.settings.bind == (TcpBind("", 80), UnixBind("x"))
    assert configuration.origins["bind"] == "command line --bind, command line --uds"


def test_one_source_sets_a_value_in_one_way() -> None:
    assert refusal({"bind": [":80"], "port": "81"}).startswith(
        "--port: sets the address to listen on, as --bind does; "
    )
    environ = {"IANUS_UDS": "x", "IANUS_HOST": "::"}
    assert refusal({}, environ).startswith("IANUS_HOST: sets the address to listen on, as IANUS_UDS does; ")


# --- The environment ---


def test_several_values_in_a_variable() -> None:
    environ = {"IANUS_BIND": "127.0.0.1:1, unix:x,", "IANUS_HEADER": "A: b, c\nD: e\n", "IANUS_RELOAD_DIR": "a,b"}
    environ["IANUS_MOUNT"] = "/api=api:app, /ws=ws:make()"
    settings = read({}, environ).settings
    assert settings.bind == (TcpBind("127.0.0.1", 1), UnixBind("x"))
    assert settings.header == ((b"a", b"b, c"), (b"d", b"e"))
    assert settings.reload_dir == ("a", "b")
    assert settings.mount == (Mount("/api", "api:app"), Mount("/ws", "ws:make()"))


@for_each_row(("text", "value"), [("1", True), ("yes", True), ("on", True), ("0", False), ("No", False)])
def test_switches_in_a_variable(text: str, value: bool) -> None:
    assert read({}, {"IANUS_FACTORY": text}).settings.factory is value


def test_an_empty_variable_is_none() -> None:
    assert read({}, {"IANUS_BACKLOG": "", "PORT": "", "IANUS_APP": ""}) == Configuration("", Settings(), {}, ())


def test_the_application_in_a_variable() -> None:
    configuration = read({}, {"IANUS_APP": "main:app"})
    assert (configuration.app, configuration.origins) == ("main:app", {"app": "environment IANUS_APP"})


@for_each_row(
    ("environ", "expected"),
    [
        ({"IANUS_BACKLOG": "many"}, "IANUS_BACKLOG: 'many' is not a whole number from 1 to 2147483647."),
        ({"IANUS_FACTORY": "si"}, "IANUS_FACTORY: 'si' is neither true nor false."),
        ({"IANUS_BIND": ":1,x:"}, "IANUS_BIND: 'x:' has no port; write x:8000."),
        ({"IANUS_BIND": ","}, "IANUS_BIND: no address to listen on; give at least one."),
        ({"IANUS_KEEP_ALIVE": "soon"}, "IANUS_KEEP_ALIVE: 'soon' is not a time, "),
        ({"PORT": "http"}, "PORT: 'http' is not a port; ports are 0 to 65535."),
        ({"WEB_CONCURRENCY": "many"}, "WEB_CONCURRENCY: 'many' is neither auto nor a number of processes"),
        (
            {"IANUS_KEEP_ALIVE": "5", "IANUS_TIMEOUT_KEEP_ALIVE": "5"},
            "IANUS_TIMEOUT_KEEP_ALIVE: sets the same value as IANUS_KEEP_ALIVE; give one of them.",
        ),
    ],
)
def test_wrong_variables(environ: dict[str, str], expected: str) -> None:
    assert refusal({}, environ).startswith(expected)


@for_each_row(
    ("variable", "expected"),
    [
        ("IANUS_BAKLOG", "IANUS_BAKLOG in the environment is not a setting; did you mean IANUS_BACKLOG?"),
        ("IANUS_NO_ACCESS_LOG", "did you mean IANUS_ACCESS_LOG?"),
        ("IANUS_WORKER_CLASS", "not a setting. Remove it: Ianus has one kind of worker."),
        ("IANUS_SSL", "not a setting. Write --ssl-certfile FILE --ssl-keyfile FILE."),
        ("IANUS_XYZZY", "IANUS_XYZZY in the environment is not a setting; see `ianus --help-all`."),
    ],
)
def test_unknown_variables_are_warned_of(variable: str, expected: str) -> None:
    (warning,) = read({}, {variable: "1"}).warnings
    assert expected in warning


def test_variables_that_are_not_meant_for_settings() -> None:
    kubernetes = {
        "IANUS_PORT": "tcp://10.0.0.1:80",
        "IANUS_PORT_80_TCP": "tcp://10.0.0.1:80",
        "IANUS_PORT_80_TCP_ADDR": "10.0.0.1",
        "IANUS_SERVICE_HOST": "10.0.0.1",
        "IANUS_SERVICE_PORT": "80",
        "IANUS_SERVICE_PORT_HTTP": "80",
    }
    assert read({}, kubernetes | {"IANUS_DEBUG": "1", "IANUS_BUILD": "x"}) == Configuration("", Settings(), {}, ())


# --- The file ---


def test_names_in_a_file_have_underscores_or_dashes(nowhere: Path) -> None:
    (nowhere / "ianus.toml").write_text(
        """
        # a comment
        app = "main:app"
        timeout-write = "5m"
        "timeout_keep_alive" = 1.5
        max_request_body_size = "10MB"
        access-log = false
        bind = [
            "127.0.0.1:1",
            "unix:x",
        ]
        uds-permissions = "640"
        """
    )
    configuration = read()
    assert configuration.app == "main:app"
    assert configuration.settings == Settings(
        timeout_write=300.0,
        timeout_keep_alive=1.5,
        max_request_body_size=10 << 20,
        access_log=False,
        bind=(TcpBind("127.0.0.1", 1), UnixBind("x")),
        uds_permissions=0o640,
    )
    lines = {"app": 3, "timeout_write": 4, "timeout_keep_alive": 5, "max_request_body_size": 6, "access_log": 7}
    lines |= {"bind": 8, "uds_permissions": 12}
    assert configuration.origins == {name: f"ianus.toml:{line}" for name, line in lines.items()}


def test_a_table_of_the_project_file(nowhere: Path) -> None:
    (nowhere / "pyproject.toml").write_text("[project]\nname = 'x'\n[tool.ianus]\nbacklog = 5\n")
    configuration = read()
    assert configuration.settings.backlog == 5
    assert configuration.origins == {"backlog": "pyproject.toml [tool.ianus]"}
    (nowhere / "ianus.toml").write_text("backlog = 6\n")
    assert read().settings.backlog == 6
    assert read().warnings == (
        "pyproject.toml [tool.ianus] is ignored, because ianus.toml exists. (ianus docs starting)",
    )
    # A named file is a deliberate choice.
    assert read({"config": "ianus.toml"}).warnings == ()
    (nowhere / "pyproject.toml").write_text("[tool.other]\nknown = ['ianus']\n")
    assert read().warnings == ()


def test_a_project_file_that_cannot_be_read_is_not_warned_of(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (nowhere / "pyproject.toml").write_text("[tool.ianus]\n")
    (nowhere / "ianus.toml").write_text("backlog = 6\n")

    def refuse(path: str, **how: Any) -> Any:
        if path == "pyproject.toml":
            raise PermissionError(13, "Permission denied")
        return Path(path).open(**how)

    monkeypatch.setattr("ianus.settings.sources.open", refuse, raising=False)
    assert read().warnings == ()


def test_a_project_file_that_is_about_others(nowhere: Path) -> None:
    (nowhere / "pyproject.toml").write_text("this is no TOML")
    assert read().settings == Settings()
    (nowhere / "pyproject.toml").write_text("[tool.ruff]\nknown = ['ianus']\n")
    assert read().settings == Settings()


@pytest.mark.parametrize("by", ["line", "environment"])
def test_another_file(by: str, nowhere: Path) -> None:
    (nowhere / "ianus.toml").write_text("backlog = 5\n")
    (nowhere / "other.toml").write_text("\nbacklog = 6\n")
    configuration = read({"config": "other.toml"}) if by == "line" else read({}, {"IANUS_CONFIG": "other.toml"})
    assert configuration.settings.backlog == 6
    assert configuration.origins["backlog"] == "other.toml:2"


def test_all_unknown_entries_of_a_file_are_reported_together(nowhere: Path) -> None:
    (nowhere / "ianus.toml").write_text("baklog = 5\nthreads = 'x'\n[mounts]\n'/a' = 'a:app'\n")
    assert refusal() == (
        "ianus.toml: 2 entries cannot be used.\n"
        "  ianus.toml:1: baklog: unknown setting; did you mean backlog?\n"
        "  ianus.toml:3: mounts: is a table; write settings at the top of ianus.toml,"
        " or in [tool.ianus] of pyproject.toml."
    )


@pytest.mark.parametrize("header", ['{A = "x"}', '{A = ["x", "y"]}'])
def test_settings_after_a_table_have_their_lines(header: str, nowhere: Path) -> None:
    (nowhere / "ianus.toml").write_text(f"header = {header}\n\nworkers = 2\n")
    assert read().origins["workers"] == "ianus.toml:3"


def test_another_project_file(nowhere: Path) -> None:
    (nowhere / "x").mkdir()
    (nowhere / "x/pyproject.toml").write_text("[tool.ianus]\nbacklog = 5\n")
    assert read({"config": "x/pyproject.toml"}).settings.backlog == 5
    (nowhere / "x/pyproject.toml").write_text("[tool.other]\nbacklog = 5\n")
    assert refusal({"config": "x/pyproject.toml"}) == "--config: x/pyproject.toml has no [tool.ianus] table."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("baklog = 5", "ianus.toml:1: baklog: unknown setting; did you mean backlog?"),
        ("\nkeep-alife = 5", "ianus.toml:2: keep-alife: unknown setting; did you mean keep_alive?"),
        ("xyzzy = 5", "ianus.toml:1: xyzzy: unknown setting; see `ianus --help-all`."),
        ("ssl = true", "ianus.toml:1: ssl: unknown setting. Write --ssl-certfile FILE"),
        ("ssl-keyfile-password = 73", "ianus.toml:1: ssl-keyfile-password: the value is not a text; write it in quot"),
        ("http-parser = 'fast'", "ianus.toml:1: http-parser: unknown setting. Remove it: Ianus has one parser"),
        ("[tool.ianus]\nbacklog = 5", "ianus.toml:1: tool: is a table; write settings at the top of ianus.toml, "),
        ("config = 'x.toml'", "ianus.toml:1: config: a configuration file cannot name another one."),
        ("backlog = 'many'", "ianus.toml:1: backlog: 'many' is not a whole number from 1 to 2147483647."),
        ("backlog = [1]", "ianus.toml:1: backlog: [1] is not a whole number from 1 to 2147483647."),
        ("bind = 8000", "ianus.toml:1: bind: 8000 is not an address such as 127.0.0.1:8000; "),
        ("factory = 1", "ianus.toml:1: factory: 1 is neither true nor false."),
        ("uds_permissions = 640", "ianus.toml:1: uds_permissions: write octal digits in quotes"),
        ("umask = 0o022", 'ianus.toml:1: umask: write octal digits in quotes, as in "660".'),
        ("app = 3", 'ianus.toml:1: app: 3 is not a text; write it in quotes: "3".'),
        ("port = true", "ianus.toml:1: port: true is not a port; "),
        ("header = [['a', 1]]", "ianus.toml:1: header: ['a', 1] is not a header field; "),
        ("reload_dir = [[true]]", "ianus.toml:1: reload_dir: [true] is not a text."),
        ("workers = 2026-01-31", "ianus.toml:1: workers: 2026-01-31 is neither auto nor a number of processes"),
        ("a = b\n", "ianus.toml: is not valid TOML: Invalid value (at line 1, column 5)."),
        (f"workers = {'9' * 5000}", "ianus.toml: has a number with too many digits."),
        (f"header = {'[' * 5000}", "ianus.toml: is nested too deeply."),
        ("threads = 0", "ianus.toml:1: threads: 0 is neither auto nor a number of threads from 1 to 1024; write auto."),
        ("threads = 0.5", "ianus.toml:1: threads: 0.5 is neither auto nor a number of threads from 1 to 1024."),
        (
            "mount = '/a'",
            "ianus.toml:1: mount: '/a' does not name a path and an application; write /PATH=MODULE:ATTRIBUTE, ",
        ),
        ("mount = ['/a=b:c', '/a/=d:e']", "ianus.toml:1: mount: /a is given twice; remove one."),
        ("[mount]\n'/a' = 3", "ianus.toml:1: mount./a: 3 is not a text"),
        ("[header]\nX = 3", 'ianus.toml:1: header.X: 3 is not a text; write it in quotes: "3".'),
        ("[backlog]\nx = 3", "ianus.toml:1: backlog: {'x': 3} is not a whole number from 1 to 2147483647."),
        ("bind = []", "ianus.toml:1: bind: no address to listen on; give at least one."),
        (
            "access-log = true\naccess_log = true",
            "ianus.toml:2: access_log: sets the same value as ianus.toml:1: access-log; give one of them.",
        ),
    ],
)
def test_wrong_files(text: str, expected: str, nowhere: Path) -> None:
    (nowhere / "ianus.toml").write_text(text)
    assert refusal().startswith(expected)


def test_files_that_cannot_be_read(nowhere: Path) -> None:
    assert (
        refusal({"config": "x.toml"})
        == "--config: x.toml cannot be read: No such file or directory. Check its path and permissions."
    )
    assert refusal({}, {"IANUS_CONFIG": "x.toml"}).startswith("IANUS_CONFIG: x.toml cannot be read: ")
    assert refusal({"config": "gunicorn.conf.py"}).startswith("--config: gunicorn.conf.py cannot be read: ")
    assert refusal({"config": "file:"}).startswith("--config: file: is neither TOML nor Python; ")
    assert refusal({"config": "x.ini"}).startswith("--config: x.ini is neither TOML nor Python; ")
    assert refusal({"config": "x.ini"}).endswith("`ianus migrate x.ini` prints them.")
    (nowhere / "x.toml").mkdir()
    assert (
        refusal({"config": "x.toml"})
        == "--config: x.toml cannot be read: Is a directory. Check its path and permissions."
    )
    (nowhere / "ianus.toml").write_bytes(b"app = '\xff'")
    assert refusal() == "ianus.toml: ianus.toml is not UTF-8 text."


def test_an_empty_name_of_a_file_is_a_mistake(nowhere: Path) -> None:
    (nowhere / "ianus.toml").write_text("workers = 2\n")
    assert refusal({"config": ""}).startswith("--config: an empty name is neither TOML nor Python; ")


def test_a_project_file_without_a_table_for_tools(nowhere: Path) -> None:
    (nowhere / "pyproject.toml").write_text('tool = "ianus"\n')
    assert read().settings == Settings()
    assert refusal({"config": "pyproject.toml"}) == "--config: pyproject.toml has no [tool.ianus] table."
    for text in ("[tool]\nianus = 5", '[[tool.ianus]]\nbind = "127.0.0.1:1"'):
        (nowhere / "pyproject.toml").write_text(text)
        assert refusal().startswith("pyproject.toml: pyproject.toml: tool.ianus is not a table; ")


def test_a_byte_order_mark_is_no_mistake(nowhere: Path) -> None:
    (nowhere / "ianus.toml").write_text("\ufeffbacklog = 5\n")
    assert read().settings.backlog == 5


# --- Files of variables ---


def test_a_file_of_variables_sets_those_that_are_not_set(nowhere: Path) -> None:
    (nowhere / "my.env").write_text("# comment\nIANUS_BACKLOG=5\nexport SECRET='a b'\nSET=new\nNOTHING\nPORT=1234\n")
    environ = {"SET": "old"}
    line = [Given("env_file", ("my.env",), "--env-file", "command line --env-file")]
    configuration = read_sources(line, environ)
    assert environ == {"SET": "old", "IANUS_BACKLOG": "5", "SECRET": "a b", "PORT": "1234"}
    assert configuration.settings.backlog == 5
    assert configuration.settings.bind == (TcpBind("0.0.0.0", 1234),)
    assert configuration.origins["backlog"] == "environment IANUS_BACKLOG"


def test_of_two_files_of_variables_the_later_counts(nowhere: Path) -> None:
    (nowhere / "a.env").write_text("IANUS_BACKLOG=5\nIANUS_WORKERS=2\n")
    (nowhere / "b.env").write_text("IANUS_BACKLOG=6\n")
    settings = read({"env_file": ["a.env", "b.env"]}).settings
    assert (settings.backlog, settings.workers) == (6, 2)


def test_a_file_of_variables_is_named_by_any_source(nowhere: Path) -> None:
    (nowhere / "a.env").write_text("IANUS_BACKLOG=5\n")
    (nowhere / "b.env").write_text("IANUS_BACKLOG=6\n")
    (nowhere / "ianus.toml").write_text("env-file = 'b.env'\nbacklog = 7\n")
    assert read().settings.backlog == 6
    assert read({}, {"IANUS_ENV_FILE": "a.env"}).settings.backlog == 5
    assert read({"env_file": ["a.env"]}, {"IANUS_ENV_FILE": "b.env"}).settings.backlog == 5


def test_a_file_of_variables_may_name_the_file_of_settings(nowhere: Path) -> None:
    (nowhere / "a.env").write_text("IANUS_CONFIG=other.toml\n")
    (nowhere / "other.toml").write_text("backlog = 5\n")
    assert read({"env_file": ["a.env"]}).settings.backlog == 5


def test_files_of_variables_that_cannot_be_read(nowhere: Path) -> None:
    assert (
        refusal({"env_file": ["x"]})
        == "--env-file: x cannot be read: No such file or directory. Check its path and permissions."
    )
    (nowhere / "x").write_bytes(b"A=\xff")
    assert refusal({}, {"IANUS_ENV_FILE": "x"}) == "IANUS_ENV_FILE: x is not UTF-8 text."


@pytest.mark.parametrize("line", ["A='x\0'", "'A=B'=x"])
def test_variables_that_no_environment_can_have(line: str, nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A", raising=False)
    (nowhere / "x").write_text(line)
    given = [Given("env_file", ["x"], "--env-file", "command line --env-file")]
    with pytest.raises(SettingError, match=r"^--env-file: 'A.* cannot be set to 'x.* in an environment\.$"):
        read_sources(given)  # by the real environment, which refuses it


@pytest.mark.parametrize("name", ["access_log_exclude", "root_path"])
def test_bytes_that_are_no_text(name: str) -> None:
    assert refusal({name: "/\udcff"}).startswith(f"--{name.replace('_', '-')}: '/\\udcff' is not ")


def test_the_package_for_files_of_variables_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dotenv", None)
    with pytest.raises(
        StartupError, match=r"^--env-file needs python-dotenv\. Install it \(pip install python-dotenv\)\.$"
    ) as caught:
        read({"env_file": ["x"]})
    assert caught.value.exit_code == 3


# --- Conflicts of several sources ---


def test_conflicting_settings_are_reported_with_their_origins(nowhere: Path) -> None:
    (nowhere / "ianus.toml").write_text("root_path_kept = '/b'\n")
    assert refusal({"root_path": "/a"}) == (
        "--root-path is given together with root_path_kept (ianus.toml:1); give one, since a proxy strips the prefix or"
        " keeps it."
    )
    (nowhere / "ianus.toml").write_text("log_format = 'json'\n")
    assert refusal({}, {"IANUS_ACCESS_LOGFORMAT": "%(h)s"}) == (
        "IANUS_ACCESS_LOGFORMAT has no effect with log_format (ianus.toml:1) json; remove one of them."
    )
    (nowhere / "ianus.toml").write_text("log_format = 'json'\naccess_log_fmt = '%(h)s'\n")
    assert refusal() == (
        "access_log_fmt (ianus.toml:2) has no effect with log_format (ianus.toml:1) json; remove one of them."
    )


def test_an_address_that_is_given_twice_is_reported_with_its_option() -> None:
    message = refusal({"bind": ["127.0.0.1:8000", "8000"]})
    assert message == "--bind: 127.0.0.1:8000 is given twice; remove one."


def test_nothing_is_loaded_for_files_that_do_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    original, loaded = builtins.__import__, []

    def spy(name: str, *rest: Any) -> Any:
        loaded.append(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", spy)
    read({"backlog": "5"}, {"IANUS_WORKERS": "2", "PORT": "80"})
    assert loaded == []


# --- Variables of the line, and tables ---


def test_variables_of_the_line_precede_those_of_the_environment(nowhere: Path) -> None:
    (nowhere / ".env").write_text("IANUS_BACKLOG=1\nOWN=file\n")
    environ = {"IANUS_BACKLOG": "5"}
    line = [Given("env", ("IANUS_BACKLOG=7", "OWN=a=b"), "--env", ""), Given("env_file", (".env",), "--env-file", "")]
    assert read_sources(line, environ).settings.backlog == 7
    assert environ == {"IANUS_BACKLOG": "7", "OWN": "a=b"}


def test_variables_of_the_line_are_undone_before_the_sources_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN", "outside")
    line = [[Given("env", ("OWN=line", "OTHER=1"), "--env", "")], []]
    reader = Reader(lambda: read_sources(line[0]))
    reader.read()
    assert (os.environ["OWN"], os.environ["OTHER"]) == ("line", "1")
    assert reader.environment()["OWN"] == "outside"
    assert "OTHER" not in reader.environment()
    line.pop(0)
    reader.read()
    assert os.environ["OWN"] == "outside"
    assert "OTHER" not in os.environ


def test_mounts_and_fields_may_be_tables(nowhere: Path) -> None:
    (nowhere / "ianus.toml").write_text(
        'backlog = 5\n[mount]\n"/api" = "api:app"\n"/b" = "b:make()"\n'
        '[headers]\nX-Frame-Options = "DENY"\nLink = ["<a>", "<b>"]\n'
    )
    configuration = read()
    assert configuration.settings.mount == (Mount("/api", "api:app"), Mount("/b", "b:make()"))
    assert configuration.settings.header == ((b"x-frame-options", b"DENY"), (b"link", b"<a>"), (b"link", b"<b>"))
    assert configuration.origins["mount"] == "ianus.toml:2"
    (nowhere / "ianus.toml").unlink()
    (nowhere / "pyproject.toml").write_text('[tool.ianus.mount]\n"/api" = "api:app"\n')
    assert read().settings.mount == (Mount("/api", "api:app"),)


def test_a_prefix_in_the_environment_as_gunicorn_has_it_is_named(nowhere: Path) -> None:
    (warning,) = read_sources(environ={"SCRIPT_NAME": "/app"}).warnings
    assert warning == (
        "SCRIPT_NAME in the environment is read by Gunicorn, and not by Ianus; write --root-path-kept /app, or"
        " --root-path if the proxy strips the prefix."
    )
    for variable in ("IANUS_ROOT_PATH", "IANUS_ROOT_PATH_KEPT"):
        assert read_sources(environ={"SCRIPT_NAME": "/app", variable: "/app"}).warnings == ()
    assert read_sources(environ={"SCRIPT_NAME": ""}).warnings == ()
