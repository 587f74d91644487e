"""Words of a command line that are read by their value, and lines of other servers with several mistakes."""

from collections.abc import Callable
from random import Random
from typing import Any

import click
import pytest
from click.testing import Result

from ianus.settings.foreign_options import HINTS, IGNORED_BY_FLAG
from ianus.settings.schema import Settings
from ianus.settings.sources import Reader
from ianus.settings.values import FdBind, TcpBind, UnixBind
from tests.rows import for_each_row
from tests.settings.lines import pages, run_line

pytestmark = pytest.mark.usefixtures("nowhere")

Serve = Callable[..., tuple[Result, Settings | None]]


@pytest.fixture
def serve() -> Serve:
    """Returns a function that runs a line, and returns its result and the settings that it serves with."""

    def invoke(*line: str) -> tuple[Result, Settings | None]:
        served: list[Settings] = []

        def act(app: str, settings: Settings, reader: Reader) -> int:
            assert app == "main:app"
            served.append(settings)
            return 0

        result = run_line(line, act)
        return result, served[0] if served else None

    return invoke


@for_each_row(
    ("line", "expected"),
    [
        ("--ws main:app", {}),
        ("--ws --backlog 7 main:app", {"backlog": 7}),
        ("--ws wsproto main:app", {}),
        ("--ws none main:app", {"ws": "none"}),
        ("--no-ws main:app", {"ws": "none"}),
        ("--proxy-protocol main:app", {"proxy_protocol": "auto"}),
        ("--proxy-protocol v1 main:app", {"proxy_protocol": "v1"}),
        ("main:app --proxy-protocol --workers 2", {"proxy_protocol": "auto", "workers": 2}),
        ("--ws-per-message-deflate false main:app", {"ws_per_message_deflate": False}),
        ("--ws-per-message-deflate=False main:app", {"ws_per_message_deflate": False}),
        ("--ws-per-message-deflate true main:app", {}),
        ("--no-ws-per-message-deflate main:app", {"ws_per_message_deflate": False}),
        ("--access-log main:app", {}),
        ("--access-log - main:app", {}),
        ("--access-log=x main:app", {"access_logfile": "x"}),
        ("--access-log logs/access.log main:app", {"access_logfile": "logs/access.log"}),
        ("--access-log /dev/stdout main:app", {"access_logfile": "/dev/stdout"}),
        ("-p 80 main:app", {"bind": "127.0.0.1:80"}),
        ("-p /run/x.pid main:app", {"pid_file": "/run/x.pid"}),
        ("-p x.pid main:app", {"pid_file": "x.pid"}),
        ("-u www-data main:app", {"user": "www-data"}),
        ("-u /run/x.sock main:app", {"bind": UnixBind("/run/x.sock")}),
        ("-u x.sock --fd 0 main:app", {"bind": [UnixBind("x.sock"), FdBind(0)]}),
        ("-v1 main:app", {}),
        ("-v 2 main:app", {"log_level": "debug"}),
        ("--verbosity 0 main:app", {"log_level": "warning", "access_log": False}),
        ("--interface asginl main:app", {"interface": "asgi", "lifespan": "off"}),
        ("--interface wsgi main:app", {"interface": "wsgi"}),
        ("-k uvloop main:app", {"loop": "uvloop"}),
        ("--worker-class asyncio main:app", {"loop": "asyncio"}),
        ("--ident= main:app", {"server_header": False}),
        ("--ident shop main:app", {"server_header": False, "header": "server: shop"}),
        ("--no-server-name main:app", {"server_header": False}),
        ("--trusted-proxy-headers forwarded main:app", {"forwarded_headers": "forwarded"}),
        ("-b 0.0.0.0 main:app", {"bind": "0.0.0.0:8000"}),
        ("-b 0.0.0.0 -p 81 main:app", {"bind": "0.0.0.0:81"}),
        ("--port 81 --bind [::1] main:app", {"bind": "[::1]:81"}),
        ("-b tcp://0.0.0.0:80 main:app", {"bind": "0.0.0.0:80"}),
        ("--bind :1,:2 main:app", {"bind": [TcpBind("", 1), TcpBind("", 2)]}),
        ("-b unix:a,unix:b,c:1 main:app", {"bind": [UnixBind("a"), UnixBind("b"), TcpBind("c", 1)]}),
        ("-b unix:/a,b main:app", {"bind": UnixBind("/a,b")}),
        ("-w=3 main:app", {"workers": 3}),
        ("-w3 main:app", {"workers": 3}),
        ("--log-level trace main:app", {"log_level": "debug"}),
        ("--log-level WARN main:app", {"log_level": "warning"}),
        ("--root-path /x main:app", {"root_path": "/x"}),
        ("--root-path /x --ping-interval 20 main:app", {"root_path_kept": "/x"}),
        ("-m 022 main:app", {"umask": "22"}),
        ("-m 7 main:app", {"umask": "7"}),
        ("--umask 0o27 main:app", {"umask": "27"}),
        ("--log-config json:x.conf main:app", {"log_config": "x.conf"}),
        ("-- main:app", {}),
    ],
)
def test_the_value_of_an_option_decides_about_its_meaning(line: str, expected: dict[str, object], serve: Serve) -> None:
    result, settings = serve(*line.split(" "))
    assert result.output == ""
    assert settings == Settings.from_values(expected)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("-m 22", "-m 22 is a decimal number in gunicorn; write 022 for octal digits, or 026 for that number."),
        ("--umask 18", "--umask 18 is a decimal number in gunicorn; write 022 for that number."),
        ("--bind --workers 3", "Option '--bind' requires an argument."),
        ("-b -w3", "Option '-b' requires an argument."),
        ("-k --reload", "Option '--worker-class' requires an argument."),
        ("--backlog", "Option '--backlog' requires an argument."),
        ("--log-config toml:x", "--log-config toml:x is not supported; write the configuration in JSON or YAML."),
    ],
)
def test_a_value_that_is_missing_or_has_another_meaning_is_refused(line: str, expected: str, serve: Serve) -> None:
    result, _ = serve("main:app", *line.split())
    assert result.exit_code == 2
    assert result.stderr.endswith(f"Error: {expected} (ianus docs settings)\n")


def test_a_list_of_addresses_may_have_spaces(serve: Serve) -> None:
    _, settings = serve("main:app", "--listen", "127.0.0.1:1 [::1]:2")
    assert settings == Settings.from_values({"bind": ["127.0.0.1:1", "[::1]:2"]})


@pytest.mark.parametrize("line", ["-v", "--version", "-v main:app"])
def test_v_alone_is_the_version(line: str, serve: Serve) -> None:
    result, settings = serve(*line.split())
    assert (result.exit_code, settings) == (0, None)
    assert result.output.startswith("ianus 1.2.3 ")


@pytest.mark.parametrize("line", ["main:app -b 0.0.0.0:1 -p 80", "main:app -b unix:x -p 80", "main:app -b 81 -p 80"])
def test_a_whole_address_and_a_port_are_refused(line: str, serve: Serve) -> None:
    result, _ = serve(*line.split())
    assert result.exit_code == 2
    assert "--port: sets the address to listen on, as --bind does; give one of them." in result.stderr


def test_all_options_that_cannot_be_used_are_reported_together(serve: Serve) -> None:
    line = "main:app other:app --metrics-port 9090 -D --timeout-writ 3 -k trio --paste c.ini --spew -workers 3"
    result, settings = serve(*line.split())
    assert (result.exit_code, settings) == (2, None)
    problems = [problem.strip() for problem in result.stderr.partition("Error: ")[2].splitlines()]
    assert problems[0] == "This line has 8 problems."
    assert [problem.split(". ")[0] for problem in problems[1:]] == [
        *("No such option: --metrics-port", "No such option: -D", "No such option: --timeout-writ"),
        f"--worker-class trio is not supported: {IGNORED_BY_FLAG['-k'].remedy_for('trio')}.",
        *("No such option: --paste", "No such option: --spew", "No such option: -workers"),
        "Only one application can be served at /, but 2 are given: main:app other:app",
        "(ianus docs settings)",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--timeout-writ 3 main:app", "Did you mean --timeout-write?"),
        ("main:app --timeout-writ 3", "Did you mean --timeout-write?"),
        ("--relaod main:app", "Did you mean --reload?"),
        ("--loger-class x.y main:app", "`ianus --help-all` lists all options."),
        ("--backlogg many main:app", "`ianus --help-all` lists all options."),
        ("--used main:app", "`ianus --help-all` lists all options."),
        ("--xyzzy=3 main:app", "`ianus --help-all` lists all options."),
    ],
)
def test_a_name_is_suggested_if_it_is_near_and_the_value_fits(line: str, expected: str, serve: Serve) -> None:
    result, _ = serve(*line.split())
    assert result.exit_code == 2
    assert result.stderr.endswith(f"{expected} (ianus docs settings)\n")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "main:app -k gevent",
            "--worker-class gevent has no effect: calls run in threads, at most --max-threads at once, and no module",
        ),
        ("main:app -k project.workers.MyWorker", "Ianus has one kind of worker; give the settings of this class as"),
        ("main:app --logger-class project.logs.Quiet", "--logger-class project.logs.Quiet has no effect: --log-config"),
        ("main:app -t 600 --ping-interval 20", "--http-timeout 600 has no effect: a request may take any time"),
        (
            "main:app --websocket_timeout 86400",
            "--websocket-timeout 86400 has no effect: a WebSocket may stay open",
        ),
        ("main:app -R", "--enable-stdio-inheritance has no effect: workers always have the standard streams"),
    ],
)
def test_an_option_without_effect_is_one_warning(line: str, expected: str, serve: Serve) -> None:
    result, settings = serve(*line.split())
    assert settings is not None
    assert settings.timeout == Settings().timeout
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("Warning: ")
    assert expected in result.stderr


def test_variables_of_other_servers_are_named(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "UVICORN_WORKERS": "4",
        "UVICORN_HOST": "0.0.0.0",
        "UVICORN_SERVICE_HOST": "10.0.0.1",
        "UVICORN_USE_COLORS": "1",
        "GRANIAN_INTERFACE": "asginl",
        "GRANIAN_LOG_ACCESS_ENABLED": "1",
        "GRANIAN_PORT_80_TCP_ADDR": "10.0.0.1",
        "GRANIAN_X": "1",
    }.items():
        monkeypatch.setenv(name, value)
    result, settings = serve("main:app")
    assert settings == Settings()
    uvicorn, granian = result.stderr.splitlines()
    assert uvicorn == (
        "Warning: variables of Uvicorn in the environment have no effect: write IANUS_HOST in place of UVICORN_HOST;"
        " write IANUS_USE_COLORS in place of UVICORN_USE_COLORS; write IANUS_WORKERS in place of UVICORN_WORKERS."
    )
    assert granian == (
        "Warning: variables of Granian in the environment have no effect: write IANUS_INTERFACE=asgi and"
        " IANUS_LIFESPAN=off in place of GRANIAN_INTERFACE; write IANUS_ACCESS_LOG in place of"
        " GRANIAN_LOG_ACCESS_ENABLED; remove GRANIAN_X."
    )


@pytest.mark.slow
def test_random_lines_are_served_or_explained() -> None:
    """Each word may follow each other one; none causes an exception."""
    options = [flag for each in pages().params if isinstance(each, click.Option) for flag in each.opts]
    values = ["", "-", "--", "=", "a=b", "3", "0", "x.sock", "/a/b.log", "true", "main:app", "-v", "-w=2", "-hv", "é"]
    words = [*options, *IGNORED_BY_FLAG, *HINTS, *values, *(f"{flag}={value}" for flag in options for value in values)]
    random = Random(7)
    for _ in range(200):
        line = random.choices(words, k=random.randint(1, 5))
        result = run_line(line, _nothing)
        assert result.exception is None or isinstance(result.exception, SystemExit), line
        assert result.exit_code in (0, 2, 3), line
        assert result.exit_code == 0 or "Error: " in result.stderr, line


def _nothing(app: str, settings: Settings, reader: Reader) -> int:
    return 0


@for_each_row(
    "line",
    [
        "--nosuch 3", "--nosuch 127.0.0.1:80", "--nosuch :80", "--nosuch true", "--nosuch main:app", "--nosuch main",
        "--nosuch - main:app", "--nosuch -1 main:app", "main:app --nosuch -", "main:app --nosuch x", "--nosuch=3 $APP",
    ],
)  # fmt: skip
def test_an_unknown_option_takes_the_next_word_unless_it_is_the_application(line: str) -> None:
    result = run_line(line.split(), lambda app, settings, reader: 0)
    assert result.stderr.endswith(
        "Error: No such option: --nosuch. `ianus --help-all` lists all options. (ianus docs settings)\n"
    )


@for_each_row(
    ("line", "values", "setting"),
    [
        ("--certfile a --certfile b", {"ssl_certfile": ("b",)}, "--ssl-certfile"),
        ("--ssl-certificate a --ssl-certificate b", {"ssl_certfile": ("b",)}, "--ssl-certfile"),
        ("--uds a --uds b", {"bind": (UnixBind("b"),)}, "--bind"),
        ("--fd 3 --fd 4", {"bind": (FdBind(4),)}, "--bind"),
        ("--ssl-certfile a --ssl-certfile b", {"ssl_certfile": ("a", "b")}, ""),
        ("--certfile a --ssl-certfile b", {"ssl_certfile": ("a", "b")}, ""),
        ("-b :1 -b :2", {"bind": (TcpBind("", 1), TcpBind("", 2))}, ""),
    ],
)
def test_a_repeated_option_of_other_servers_has_its_last_value(
    line: str, values: dict[str, Any], setting: str, serve: Serve
) -> None:
    result, settings = serve(*line.split(), "main:app")
    assert settings == Settings(**values)
    flag = line.split()[0]
    assert result.stderr == (
        f"Warning: {flag} is repeated, and the last one counts, as in other servers; repeat {setting} for several.\n"
        if setting
        else ""
    )
