"""The command line: every setting has its flag, other servers' are understood, wrong lines are explained."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from click.shell_completion import ShellComplete
from click.testing import Result

from ianus.errors import StartupError
from ianus.settings.foreign_options import HINTS, IGNORED_OPTIONS
from ianus.settings.schema import Settings, inputs, table
from ianus.settings.sources import Reader
from ianus.settings.values import FdBind, Mount, TcpBind, UnixBind
from tests.rows import for_each_row
from tests.settings.lines import pages, run_line

Served = list[tuple[str, Settings]]

pytestmark = pytest.mark.usefixtures("nowhere")


@pytest.fixture
def served() -> Served:
    return []


def invoke(served: Served, *line: str, code: int = 0) -> Result:
    def serve(app: str, settings: Settings, reader: Reader) -> int:
        served.append((app, settings))
        return code

    def check(app: str, settings: Settings, reader: Reader) -> int:
        return 42

    return run_line(line, serve, check)


def test_the_application_alone_is_served_with_the_defaults(served: Served) -> None:
    result = invoke(served, "main:app")
    assert result.exit_code == 0
    assert result.output == ""
    assert served == [("main:app", Settings())]


def test_the_exit_code_is_that_of_serving(served: Served) -> None:
    assert invoke(served, "main:app", code=3).exit_code == 3


def test_settings_are_printed_instead_of_serving(served: Served) -> None:
    result = invoke(served, "main:app", "--backlog", "7", "--print-config")
    assert (result.exit_code, served) == (0, [])
    assert re.search(r"^backlog = 7 +# command line --backlog$", result.output, re.MULTILINE)


def test_checking_is_done_instead_of_serving(served: Served) -> None:
    assert invoke(served, "main:app", "--check-config").exit_code == 42
    assert served == []


@pytest.mark.parametrize("named_by", ["file", "variable"])
def test_the_application_may_be_named_elsewhere(
    named_by: str, served: Served, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if named_by == "file":
        (nowhere / "ianus.toml").write_text('app = "main:app"\n')
    else:
        monkeypatch.setenv("IANUS_APP", "main:app")
    assert invoke(served).exit_code == 0
    assert invoke(served, "other:app").exit_code == 0
    assert [app for app, _ in served] == ["main:app", "other:app"]


# --- Flags ---


@for_each_row(
    ("line", "name", "value"),
    [
        (["--bind", "unix:x"], "bind", (UnixBind("x"),)),
        (["-b", "1.2.3.4:5", "-b", "unix:x"], "bind", (TcpBind("1.2.3.4", 5), UnixBind("x"))),
        (["--uds-permissions", "660"], "uds_permissions", 0o660),
        (["--factory"], "factory", True),
        (["--loop", "asyncio"], "loop", "asyncio"),
        (["--lifespan", "off"], "lifespan", "off"),
        (["--mount", "/api=api:app", "--mount", "/b=b:f()"], "mount", (Mount("/api", "api:app"), Mount("/b", "b:f()"))),
        (["--threads", "auto"], "threads", "auto"),
        (["--threads", "4"], "threads", 4),
        (["--switch-interval", "0"], "switch_interval", 0.0),
        (["--header-map", "dangerous"], "header_map", "dangerous"),
        (["--limit-spool", "10G"], "limit_spool", 10 << 30),
        (["--interface", "asgi2"], "interface", "asgi2"),
        (["--root-path", "/api/"], "root_path", "/api"),
        (["--root-path-kept", "/api/"], "root_path_kept", "/api"),
        (["-w", "4"], "workers", 4),
        (["--workers", "auto"], "workers", "auto"),
        (["--preload"], "preload", True),
        (["-t", "60"], "timeout", 60.0),
        (["--watch-loop", "100"], "watch_loop", 100),
        (["--max-requests", "1000"], "max_requests", 1000),
        (["--workers-lifetime", "6h"], "workers_lifetime", 21600.0),
        (["--workers-max-rss", "512"], "workers_max_rss", 512),
        (["--hooks", "project.hooks"], "hooks", "project.hooks"),
        (["--pid-file", "/run/x.pid"], "pid_file", "/run/x.pid"),
        (["-u", "www-data"], "user", "www-data"),
        (["-g", "33"], "group", "33"),
        (["-m", "007"], "umask", 0o007),
        (["-n", "shop"], "process_name", "shop"),
        (["--capture-output"], "capture_output", True),
        (["--chdir", "x"], "chdir", "x"),
        (["--pythonpath", "a,b", "--pythonpath", "c"], "pythonpath", ("a", "b", "c")),
        (["--timeout-write", "0.5"], "timeout_write", 0.5),
        (["--timeout-write", "500ms"], "timeout_write", 0.5),
        (["--timeout-keep-alive", "0"], "timeout_keep_alive", 0.0),
        (["--timeout-keep-alive=5m"], "timeout_keep_alive", 300.0),
        (["--max-request-body-size", "0"], "max_request_body_size", 0),
        (["--max-request-body-size", "2G"], "max_request_body_size", 2 << 30),
        (["--no-date-header"], "date_header", False),
        (["--no-server-header"], "server_header", False),
        (["--no-access-log"], "access_log", False),
        (["--access-log"], "access_log", True),
        (["--header", "A: b", "--header", "C: d"], "header", ((b"a", b"b"), (b"c", b"d"))),
        (["--log-level", "DEBUG"], "log_level", "debug"),
        (["--reload-include", "*.html", "--reload-include", "*.py"], "reload_include", ("*.html", "*.py")),
        (["--request-id-header", "X-Request-ID"], "request_id_header", "x-request-id"),
        (["--limit_request_line", "100"], "limit_request_line", 100),
    ],
)
def test_flags(line: list[str], name: str, value: Any) -> None:
    served: Served = []
    result = invoke(served, *line, "main:app")
    assert result.exit_code == 0, result.output
    assert result.output == ""
    assert getattr(served[0][1], name) == value


LINES_OF_OTHER_SERVERS: list[tuple[list[str], str, Any]] = [
    (["--host", "0.0.0.0"], "bind", (TcpBind("0.0.0.0", 8000),)),
    (["--port", "80"], "bind", (TcpBind("127.0.0.1", 80),)),
    (["--host", "::", "-p", "80"], "bind", (TcpBind("::", 80),)),
    (["--uds", "/run/x"], "bind", (UnixBind("/run/x"),)),
    (["--unix-socket", "x"], "bind", (UnixBind("x"),)),
    (["--fd", "3"], "bind", (FdBind(3),)),
    (["--listen", "*:80"], "bind", (TcpBind("", 80),)),
    (["--call"], "factory", True),
    (["--working-dir", "x"], "app_dir", "x"),
    (["--blocking-threads", "4"], "threads", 4),
    (["--inbuf-overflow", "64K"], "request_buffer", 65536),
    (["--post-buffering", "8192"], "request_buffer", 8192),
    (["--asgi-loop", "asyncio"], "loop", "asyncio"),
    (["--asgi-lifespan", "off"], "lifespan", "off"),
    (["--url-path-prefix", "/x"], "root_path_kept", "/x"),
    (["--certfile", "x"], "ssl_certfile", ("x",)),
    (["--ssl-certificate", "x"], "ssl_certfile", ("x",)),
    (["--keyfile", "x", "--certfile", "c"], "ssl_keyfile", ("x",)),
    (["--keyfile-password", "x", "--certfile", "c"], "ssl_keyfile_password", "x"),
    (["--ssl-protocol-min", "tls1.3", "--certfile", "c"], "ssl_min_version", "1.3"),
    (["--ciphers", "HIGH", "--certfile", "c"], "ssl_ciphers", "HIGH"),
    (["--ca-certs", "x", "--certfile", "c", "--ssl-cert-reqs", "optional"], "ssl_ca_certs", "x"),
    (["--ssl-ca", "x", "--certfile", "c", "--ssl-cert-reqs", "optional"], "ssl_ca_certs", "x"),
    (["--cert-reqs", "2", "--certfile", "c", "--ca-certs", "a"], "ssl_cert_reqs", "required"),
    (["--verify-mode", "CERT_OPTIONAL", "--certfile", "c", "--ca-certs", "a"], "ssl_cert_reqs", "optional"),
    (["--ssl-client-verify", "--certfile", "c", "--ca-certs", "a"], "ssl_cert_reqs", "required"),
    (["--ssl-handshake-timeout", "5", "--certfile", "c"], "timeout_tls_handshake", 5.0),
    (["--url-prefix", "/x"], "root_path_kept", "/x"),
    (["--websocket-max-message-size", "5"], "ws_max_size", 5),
    (["--websocket-ping-interval", "5"], "ws_ping_interval", 5.0),
    (["--websocket-ping-timeout", "5"], "ws_ping_timeout", 5.0),
    (["--websocket-per-message-deflate"], "ws_per_message_deflate", True),
    (["--ws", "websockets-sansio"], "ws", "auto"),
    (["--processes", "4"], "workers", 4),
    (["--preload-app"], "preload", True),
    (["--timeout-worker-healthcheck", "5"], "timeout", 5.0),
    (["--limit-max-requests", "5"], "max_requests", 5),
    (["--limit-max-requests-jitter", "5", "--max-requests", "9"], "max_requests_jitter", 5),
    (["--max-worker-lifetime", "3600"], "workers_lifetime", 3600.0),
    (["--reload-on-rss", "512"], "workers_max_rss", 512),
    (["--pid", "x"], "pid_file", "x"),
    (["--pidfile", "x"], "pid_file", "x"),
    (["--uid", "33"], "user", "33"),
    (["--gid", "33"], "group", "33"),
    (["--name", "shop"], "process_name", "shop"),
    (["--proc-name", "shop"], "process_name", "shop"),
    (["--proxy-protocol", "v2", "--proxy-allow-from", "10.0.0.1,unix"], "proxy_allow_ips", ("10.0.0.1", "unix")),
    (["--graceful-timeout", "5"], "timeout_stop", 5.0),
    (["--timeout-graceful-shutdown", "5"], "timeout_stop", 5.0),
    (["--workers-kill-timeout", "5s"], "timeout_stop", 5.0),
    (["--http1-header-read-timeout", "500"], "timeout_request_header", 0.5),
    (["--keep-alive", "5"], "timeout_keep_alive", 5.0),
    (["--read-timeout", "5"], "timeout_request_body", 5.0),
    (["--h11-max-incomplete-event-size", "1000"], "limit_request_fields_size", 1000),
    (["--http", "1.1"], "http", "1"),
    (["--http", "httptools"], "http", "auto"),
    (["--http-protocols", "h1"], "http", "1"),
    (["--http-protocols", "h2"], "http", "2"),
    (["--http-protocols", "h2,h1"], "http", "auto"),
    ([], "http2", True),
    (["--no-http2"], "http2", False),
    (["--http2-initial-stream-window-size", "1M"], "http2_initial_window_size", 1 << 20),
    (["--limit-request-field_size", "8190"], "limit_request_field_size", 8190),
    (["--limit-post", "1000"], "max_request_body_size", 1000),
    (["--backpressure", "5"], "limit_connections", 5),
    (["--worker-connections", "5"], "limit_connections", 5),
    (["--connection-limit", "5"], "limit_connections", 5),
    (["--unix-socket-perms", "600"], "uds_permissions", 0o600),
    (["--channel-timeout", "60"], "timeout_keep_alive", 60.0),
    (["--max-request-header-size", "64K"], "limit_request_fields_size", 65536),
    (["--outbuf-high-watermark", "1000"], "response_buffer", 1000),
    (["--ping-interval", "5"], "ws_ping_interval", 5.0),
    (["--ping-timeout", "5"], "ws_ping_timeout", 5.0),
    (["--headers", "A: b"], "header", ((b"a", b"b"),)),
    (["--trusted-proxy", "10.0.0.1"], "forwarded_allow_ips", ("10.0.0.1",)),
    (
        ["--trusted-proxy-headers", "x-forwarded-proto x-forwarded-for x-forwarded-host"],
        "forwarded_fields",
        ("for", "proto", "host"),
    ),
    (["--access-logformat", "%(h)s"], "access_log_format", "%(h)s"),
    (["--access-log-fmt", "%(h)s"], "access_log_format", "%(h)s"),
    (["--log-file", "x"], "error_logfile", "x"),
    (["--error-log", "x"], "error_logfile", "x"),
    (["--log-config-json", "x"], "log_config", "x"),
    (["--syslog"], "log_syslog", True),
    (["--syslog-addr", "unix:///dev/log"], "log_syslog_to", "unix:///dev/log"),
    (["--syslog-prefix", "shop"], "log_syslog_prefix", "shop"),
    (["--syslog-facility", "LOCAL0"], "log_syslog_facility", "local0"),
    (["--reload-dirs", "x"], "reload_dir", ("x",)),
    (["--reload-paths", "x", "--reload-dir", "y"], "reload_dir", ("x", "y")),
    (["--reload-includes", "x"], "reload_include", ("x",)),
    (["--reload-excludes", "x"], "reload_exclude", ("x",)),
    (["--reload-ignore-dirs", "logs"], "reload_exclude", ("logs",)),
    (["--reload-tick", "50"], "reload_delay", 0.05),
]


@for_each_row(("line", "name", "value"), LINES_OF_OTHER_SERVERS)
def test_names_of_other_servers(line: list[str], name: str, value: Any) -> None:
    served: Served = []
    result = invoke(served, *line, "main:app")
    assert result.exit_code == 0, result.output
    assert result.output == ""
    assert getattr(served[0][1], name) == value


def test_every_other_name_is_tried_above() -> None:
    tried = " ".join(word for line, *_ in LINES_OF_OTHER_SERVERS for word in line)
    names = {alias.name.replace("_", "-") for _, setting in inputs() for alias in setting.aliases} - {
        "env-files",
        "raw-env",
    }
    assert {name for name in names if f"--{name} " not in f"{tried} "} == set()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (["--ws-drain-spread", "20"], "--ws-drain-spread does not fit into --timeout-stop (25 s)"),
        (
            ["--root-path", "/a", "--root-path-kept", "/b"],
            "--root-path is given together with --root-path-kept; give one",
        ),
        (
            ["--access-log-format", "%(h)s", "--log-format", "json"],
            "--access-log-format has no effect with --log-format json; remove one of them.",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_one_message_and_exit_code_3(
    line: list[str], expected: str, served: Served
) -> None:
    result = invoke(served, "main:app", *line)
    assert result.exit_code == 3
    assert result.stderr.startswith(f"Error: {expected}")
    assert len(result.stderr.splitlines()) == 1
    assert served == []


# --- The help pages ---

COMMON = (
    "bind factory app-dir root-path ssl-certfile ssl-keyfile workers preload threads timeout-stop access-log log-level"
    " reload config"
)


def test_the_short_help_page_has_a_dozen_options(served: Served) -> None:
    result = invoke(served, "--help")
    assert result.exit_code == 0
    flags = re.findall(r"^  (?:-\w, )?--([\w-]+)", result.output, re.MULTILINE)
    assert flags == [*COMMON.split(), "check-config", "version", "help-all", "help"]
    assert "`ianus --help-all` lists all options." in result.output
    assert invoke(served, "-h").output == result.output
    assert served == []


def test_every_setting_has_a_flag_in_the_full_help_page(served: Served) -> None:
    result = invoke(served, "--help-all")
    assert result.exit_code == 0
    for name, setting, _ in table():
        assert "--" + name.replace("_", "-") in result.output
        assert f"\n      {setting.summary}\n" in result.output
    headings = re.findall(r"^(\w.*):$", result.output, re.MULTILINE)
    assert headings == [*dict.fromkeys(setting.group for _, setting, _ in table()), "Configuration"]
    assert served == []


@pytest.mark.parametrize("flag", ["--help", "--help-all"])
def test_no_line_of_the_help_pages_is_longer_than_a_terminal(flag: str, served: Served) -> None:
    assert max(map(len, invoke(served, flag).output.splitlines())) <= 80


def test_the_help_page_is_not_about_other_servers(served: Served) -> None:
    output = invoke(served, "--help-all").output
    for name in ("--uds", "--graceful-timeout", "--worker-class", "--http-protocols", "--log-file"):
        assert f"{name} " not in output


def test_the_help_page_shows_defaults_units_and_the_meaning_of_zero(served: Served) -> None:
    words = " ".join(invoke(served, "--help-all").output.split())
    assert "[repeatable; default: 127.0.0.1:8000]" in words
    assert "[0: close after each response; default: 75s]" in words
    assert "[0: no limit; default: 1G]" in words
    assert "[default: 0, no limit]" in words
    assert "[bytes a second; 0: no limit; default: 240]" in words


def test_the_version(served: Served) -> None:
    assert invoke(served, "--version").output.startswith("ianus 1.2.3 (")


# --- Lines that are explained ---


@for_each_row(
    ("line", "expected"),
    [
        ([], "No application is given; name it, as in `ianus main:app`. It can also be named in ianus.toml"),
        (["main:app", "other:app"], "Only one application can be served at /, but 2 are given: main:app other:app."),
        (["main:app", "other:app"], "Serve another one below a path, as in --mount /path=other:app."),
        (["main:app", "/api=api:app"], "write --mount /api=api:app to add another application."),
        (
            ["main:app", "--mount", "api:app"],
            "Error: --mount: 'api:app' does not name a path and an application; write /PATH=MODULE:",
        ),
        (
            ["main:app", "--mount", "/=api:app"],
            "Error: --mount: '/' is the path of APP; mount at another one, such as /api.",
        ),
        (["main:app", "--mount", "/a=b:app", "--mount", "/a/=c:app"], "Error: --mount: /a is given twice; remove one."),
        (["main:app", "--threads", "1025"], "Error: --threads: '1025' is neither auto nor a number of threads from 1"),
        (["main:app", "--threads", "0"], "'0' is neither auto nor a number of threads from 1 to 1024; write auto."),
        (["main:app", "--header-map", "refuse"], "Error: --header-map: 'refuse' is not supported; write drop,"),
        (["main:app", "8000"], "'8000' does not name an application; write --port 8000 to listen there."),
        (["0.0.0.0:8000"], "write --bind 0.0.0.0:8000 to listen there."),
        (["[::]:80", "main:app"], "write --bind [::]:80 to listen there."),
        (["main:app", "-"], "Error: '-' is not an application; remove it."),
        (["main:app", "0.0.0.0"], "write --host 0.0.0.0 to listen there."),
        (["main:app", "localhost"], "write --host localhost to listen there."),
        (["main:app", "unix:/run/x"], "write --bind unix:/run/x to listen there."),
        (["main:app", "--reload", "true"], "'true' is not an application; switches take no value. Turn one off as in "),
        (
            ["start-server", "wsgi.py"],
            "There is no sub-command start-server. Write `ianus wsgi.py`. (ianus docs start",
        ),
        (["gunicorn", "shop.wsgi"], "gunicorn is another server; write `ianus shop.wsgi`, or `ianus migrate` before "),
        (["run", "main:app"], "There is no sub-command run. Write `ianus main:app`. (ianus docs starting)\n"),
        (["main:app", "--timeout-writ", "3"], "--timeout-write"),
        (["main:app", "--prot", "3"], "--port"),
        (["main:app", "--completion"], "`ianus completion bash` (zsh, fish) prints the script."),
        (["main:app", "-workers", "4"], "No such option: -workers. It has two dashes: --workers."),
        (["main:app", "-port", "80"], "No such option: -port. It has two dashes: --port."),
        (["main:app", "--backlog"], "Option '--backlog' requires an argument."),
        (["main:app", "--backlog", "many"], "Error: --backlog: 'many' is not a whole number from 1 to 2147483647."),
        (["main:app", "--backlog", "0"], "Error: --backlog: 0 is out of range; it can be 1 to 2147483647."),
        (["main:app", "--workers", "0"], "--workers: '0' is neither auto nor a number of processes from 1 to 10000; "),
        (["main:app", "--limit-request-line", "1T"], "'1T' is not a whole number of bytes, such as 65536 or 64K."),
        (["main:app", "--keep-alive", "5 s"], "--keep-alive: '5 s' is not a time, such as 10 or 0.5 (seconds), 500ms"),
        (["main:app", "--http1-header-read-timeout", "5s"], "'5s' is not a whole number of milliseconds."),
        (["main:app", "-b", "localhost:"], "Error: --bind: 'localhost:' has no port; write localhost:8000."),
        (["main:app", "-b", "fd:3"], "Error: --bind: 'fd:3' is not an address; write fd://3."),
        (["main:app", "--graceful-timeout", "0"], "--graceful-timeout: 0 would wait for requests without a limit; "),
        (["main:app", "-e", "ssl:443:privateKey=k"], "No such option: -e. Use --bind, as in --bind 0.0.0.0:8000"),
        (["main:app", "--env", "x"], "Error: --env: 'x' is not a variable; write NAME=value."),
        (["main:app", "--http"], "Error: Option '--http' requires an argument."),
        (["main:app", "-b", ":http"], "Error: --bind: ':http': 'http' is not a port; ports are 0 to 65535."),
        (["main:app", "-b", ":70000"], "Error: --bind: ':70000': '70000' is not a port; ports are 0 to 65535."),
        (["main:app", "-b", "1.2.3.4:5", "-b", "1.2.3.4:5"], "1.2.3.4:5 is given twice; remove one."),
        (["main:app", "-b", "70000"], "Error: --bind: '70000' is not a port; ports are 0 to 65535."),
        (["main:app", "--port", "70000"], "Error: --port: '70000' is not a port; ports are 0 to 65535."),
        (["main:app", "-b", "/tmp/x.sock"], "Error: --bind: '/tmp/x.sock' is not an address; write unix:/tmp/x.sock."),
        (["main:app", "--port", "http"], "Error: --port: 'http' is not a port; ports are 0 to 65535."),
        (["main:app", "--port", "/x.pid"], "0 to 65535. For a process id file write --pid-file /x.pid."),
        (["main:app", "--workers-max-rss", "1G"], "'1G' is not a whole number of MiB, such as 512."),
        (["main:app", "--watch-loop", "0.1"], "'0.1' is not a whole number of milliseconds, such as 100."),
        (["main:app", "--hooks", "./hooks.py"], "'./hooks.py' is not the name of a module; write hooks."),
        (["main:app", "--max-worker-lifetime", "1d"], "--max-worker-lifetime: '1d' is not a time, such as "),
        (
            ["main:app", "--host", "0.0.0.0:80"],
            "Error: --host: '0.0.0.0:80' is an address with a port; write --bind 0.0.0.0",
        ),
        (
            ["main:app", "--port", "80", "--bind", ":80"],
            "Error: --port: sets the address to listen on, as --bind does; give one",
        ),
        (["main:app", "--loop", "trio"], "Error: --loop: 'trio' is not one of auto, asyncio, uvloop."),
        (["main:app", "--interface", "rsgi"], "'rsgi' is an interface of Granian alone; serve the application by"),
        (["main:app", "--interface", "wsig"], "asgi2, wsgi. Did you mean wsgi? (ianus docs settings)"),
        (["main:app", "--log-level", "warnig"], "info, debug. Did you mean warning?"),
        (["main:app", "--log-level", "all"], "'all' is not one of critical, error, warning, info, debug."),
        (["main:app", "--header", "Content-Length: 3"], "cannot be added"),
        (["main:app", "--header", "X"], "'X' is not a header field; write 'Name: value'."),
        (["main:app", "--root-path", "api"], "Error: --root-path: 'api' does not start with a slash; write /api."),
        (["main:app", "--access-log-format", "%h"], "'%h' is not an atom of an access log; write, for example, %(h)s"),
        (
            ["main:app", "--access-log-format", "combined"],
            "'combined' has no atom; remove the option for the combined format.",
        ),
        (
            ["main:app", "--keep-alive", "5", "--timeout-keep-alive", "5"],
            "sets the same value as --keep-alive; give one of",
        ),
        (["main:app", "--config", "x.toml"], "Error: --config: x.toml cannot be read: No such file or directory."),
        (
            ["main:app", "--config", "gunicorn.conf.py"],
            "Error: --config: gunicorn.conf.py cannot be read: No such file",
        ),
        (["main:app", "--env-file", ".env"], "Error: --env-file: .env cannot be read: No such file or directory."),
        (["main:app", "-k", "gthred"], "--worker-class gthred is not supported: Ianus has one kind of worker."),
        (["main:app", "-k", "trio"], "Error: --worker-class trio is not supported: Ianus runs asyncio applications"),
        (["main:app", "--http", ":8000"], "--http: ':8000' is an address; write --bind :8000 to listen there."),
        (["main:app", "--http", "[::1]:80"], "write --bind [::1]:80 to listen there."),
        (["main:app", "--http", "3"], "Error: --http: '3' is not one of auto, 1, 2"),
        (["main:app", "--http-protocols", "h3"], "'h3' has a version that is not supported; write h1 or h2."),
        (["main:app", "--harakiri", "30"], "Error: No such option: --harakiri. A call that runs too long is reported"),
        (["main:app", "--ssl"], "Error: No such option: --ssl. Write --ssl-certfile FILE --ssl-keyfile FILE."),
        (["main:app", "--ssl-version", "17", "--ssl-min-version", "1.1"], "since RFC 8996 forbids it; write 1.2."),
    ],
)
def test_a_line_that_cannot_be_understood_exits_with_2(line: list[str], expected: str) -> None:
    served: Served = []
    result = invoke(served, *line)
    assert result.exit_code == 2
    assert expected in result.stderr
    assert len(result.stderr.splitlines()) <= 4  # usage, a hint at the help, an empty line, the message
    assert result.stdout == ""
    assert served == []


@pytest.mark.parametrize(
    ("typed", "meant"), [("--relaod", "--reload"), ("--timeout-keepalive", "--timeout-keep-alive")]
)
def test_the_error_of_a_mistyped_option_has_the_nearest_one_alone(typed: str, meant: str, served: Served) -> None:
    result = invoke(served, "main:app", typed)
    assert re.findall(r"--[\w-]+", result.stderr.partition("Error:")[2]) == [typed, meant]


@for_each_row("flag", HINTS)
def test_unknown_options_get_their_hint(flag: str) -> None:
    result = invoke([], flag, "main:app")
    assert result.exit_code == 2
    assert f"No such option: {flag}. {HINTS[flag]}" in " ".join(result.stderr.split())
    assert HINTS[flag].endswith(".")


@for_each_row("option", IGNORED_OPTIONS)
def test_options_that_change_nothing_are_warned_of(option: Any) -> None:
    served: Served = []
    for flag in option.flags.split():
        accepted = [value for value in option.values or () if value not in ("asyncio", "uvloop")]
        for value in accepted or ("x",) if option.values is not None else (None,):
            result = invoke(served, flag, *([] if value is None else [value]), "main:app")
            assert result.exit_code == 0, result.stderr
            assert result.stderr.startswith("Warning: --")
            assert result.stderr.endswith(f" has no effect: {option.reason}.\n")
            assert result.stdout == ""
            assert served.pop() == ("main:app", Settings())


def test_a_mistake_in_the_environment_or_a_file_is_one_line(
    served: Served, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nowhere / "ianus.toml").write_text("baklog = 5\n")
    result = invoke(served, "main:app")
    assert result.exit_code == 2
    assert (
        result.stderr == "Error: ianus.toml:1: baklog: unknown setting; did you mean backlog? (ianus docs settings)\n"
    )
    monkeypatch.setenv("IANUS_BACKLOG", "many")
    result = invoke(served, "main:app")
    assert result.exit_code == 2
    assert (
        result.stderr
        == "Error: IANUS_BACKLOG: 'many' is not a whole number from 1 to 2147483647. (ianus docs settings)\n"
    )


def test_a_missing_package_exits_with_3(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dotenv", None)
    result = invoke(served, "main:app", "--env-file", "x")
    assert result.exit_code == 3
    assert result.stderr.startswith("Error: --env-file needs python-dotenv. Install it (pip install python-dotenv)")


def test_unknown_variables_are_warned_of(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IANUS_BAKLOG", "5")
    result = invoke(served, "main:app")
    assert result.stderr == (
        "Warning: IANUS_BAKLOG in the environment is not a setting; did you mean IANUS_BACKLOG? (ianus docs settings)\n"
    )
    assert len(served) == 1


# --- Completion ---


def test_the_shell_can_complete_options_and_choices() -> None:
    complete = ShellComplete(pages(), {}, "ianus", "_IANUS_COMPLETE")

    def completions(line: list[str], start: str) -> list[tuple[str, str]]:
        return [(item.type, item.value) for item in complete.get_completions(line, start)]

    assert completions([], "--timeout-w") == [("plain", "--timeout-write")]
    assert completions(["--loop"], "") == [("plain", "auto"), ("plain", "asyncio"), ("plain", "uvloop")]
    assert completions(["--log-level"], "de") == [("plain", "debug")]
    assert completions(["--config"], "x") == [("file", "x")]
    assert completions(["--app-dir"], "x") == [("dir", "x")]
    assert completions(["--backlog"], "1") == []
    assert completions([], "--worker-c") == []  # hidden


def test_paths_and_values_are_passed_on_as_they_are(served: Served) -> None:
    assert invoke(served, "main:app", "--app-dir", "a_b" + os.sep).exit_code == 0
    assert served[0][1].app_dir == "a_b" + os.sep


def test_sources_are_read_again_with_the_variables_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads as SIGHUP does. A file that cannot be used has no effect."""
    monkeypatch.setenv("IANUS_WORKERS", "3")
    file = Path(".env")
    file.write_text("IANUS_BACKLOG=5\nIANUS_WORKERS=7\nOWN=one\n")
    seen: list[tuple[int | str, int, str | None]] = []

    def note(settings: Settings) -> None:
        seen.append((settings.workers, settings.backlog, os.environ.get("OWN")))

    def serve(app: str, settings: Settings, reader: Reader) -> int:
        note(settings)
        file.write_text("IANUS_BACKLOG=6\nOWN=two\n")
        note(reader.read().settings)
        # Another server gets them from its own file, and the variables of the user.
        environment = reader.environment()
        assert environment["IANUS_WORKERS"] == "3"
        assert environment.keys().isdisjoint({"IANUS_BACKLOG", "OWN"})
        file.write_text("IANUS_BACKLOG=none\n")
        with pytest.raises(StartupError):
            reader.read()
        assert (os.environ["IANUS_BACKLOG"], os.environ["OWN"]) == ("6", "two")
        file.write_text("")
        note(reader.read().settings)
        return 0

    result = run_line(["main:app", "--env-file", ".env"], serve)
    assert result.exception is None or result.exit_code == 0, result.output
    assert seen == [(3, 5, "one"), (3, 6, "two"), (3, Settings().backlog, None)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("uwsgi.ini", "'uwsgi.ini' is a file of settings. `ianus migrate uwsgi.ini` prints the ianus.toml for it."),
        ("prod.toml", "'prod.toml' is a file of settings. Write -c prod.toml to read it."),
    ],
)
def test_a_file_of_settings_is_not_an_application(name: str, expected: str, nowhere: Path) -> None:
    (nowhere / name).touch()
    result = invoke([], name)
    assert result.stderr.endswith(f"Error: {expected} (ianus docs settings)\n")
