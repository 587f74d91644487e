"""Configuration files of gunicorn and hypercorn: the settings that their values become, and those that have none."""

import re
from pathlib import Path
from typing import Any

import pytest

from ianus.errors import SettingError
from ianus.settings.foreign_files import (
    GUNICORN,
    HOOKS,
    HYPERCORN,
    Ignored,
    Refused,
    Renamed,
    closest_setting,
    translate,
)
from ianus.settings.schema import NAMES
from tests.rows import for_each_row


def given(is_gunicorn: bool = True, **content: Any) -> dict[str, Any]:
    return {each.name: each.value for each in translate(content, "x.py", is_gunicorn=is_gunicorn).given}


def ignored(is_gunicorn: bool = True, **content: Any) -> list[str]:
    return translate(content, "x.py", is_gunicorn=is_gunicorn).ignored


def refusal(is_gunicorn: bool = True, **content: Any) -> str:
    with pytest.raises(SettingError) as caught:
        translate(content, "x.py", is_gunicorn=is_gunicorn)
    assert caught.value.page == "gunicorn"
    return caught.value.message


@for_each_row("name", [name for name, entry in HYPERCORN.items() if isinstance(entry, Renamed)])
def test_each_name_stands_for_an_input(name: str) -> None:
    entry = HYPERCORN[name]
    assert isinstance(entry, Renamed)
    assert entry.setting in NAMES


@for_each_row(
    ("content", "expected"),
    [
        ({"bind": ["127.0.0.1:1", ":2"]}, {"bind": ["127.0.0.1:1", ":2"]}),
        ({"keepalive": 0}, {"timeout_keep_alive": 0}),
        ({"capture_output": True}, {"capture_output": True}),
        ({"graceful_timeout": 0}, {"timeout_stop": 1}),
        ({"limit_request_line": 0, "limit_request_field_size": "0"},
         {"limit_request_line": "1M", "limit_request_field_size": "1M"}),
        ({"loglevel": "WARNING"}, {"log_level": "warning"}),
        ({"header_map": "refuse"}, {"header_map": "drop"}),
        ({"accesslog": None}, {"access_log": False}),
        ({"accesslog": "-"}, {"access_log": True, "access_logfile": "-"}),
        ({"errorlog": None, "chdir": "", "user": None}, {}),
        ({"forwarded_allow_ips": ""}, {"forwarded_allow_ips": ""}),
        ({"sendfile": False, "preload_app": True}, {"sendfile": False, "preload_app": True}),
        ({"logconfig_dict": {"root": {}}}, {"log_config": '{"version": 1, "root": {}}'}),
        ({"logconfig_dict": {}, "pythonpath": ""}, {}),
        ({"raw_env": ["A=b"]}, {"raw_env": ["A=b"]}),
        ({"wsgi_app": "main:app"}, {"app": "main:app"}),
        ({"worker_class": "gthread"}, {}),
        ({"max_worker_memory": 150, "port": 80, "log_level": "x", "_x": 1}, {}),
        # Options of other servers are variables of the file.
        ({"debug": True, "log": "x", "master": 1}, {}),
    ],
)  # fmt: skip
def test_values_of_gunicorn(content: dict[str, Any], expected: dict[str, object]) -> None:
    assert given(**content) == expected
    assert ignored(**content) == []


def test_values_of_hypercorn() -> None:
    content: dict[str, Any] = {
        "include_server_header": False,
        "keep_alive_timeout": 9,
        "read_timeout": 3,
        "bind": [":1"],
        "h2_max_concurrent_streams": 50,
    }
    expected = {"server_header": False, "timeout_keep_alive": 9, "read_timeout": 3, "bind": [":1"]}
    assert given(False, **content) == {**expected, "http2_max_concurrent_streams": 50}
    # To gunicorn they are variables of the file.
    assert given(**content) == {"bind": [":1"]}


@for_each_row(
    ("content", "expected"),
    [
        ({"worker_tmp_dir": "/dev/shm"}, "worker_tmp_dir (no files are used to watch workers)"),
        (
            {"worker_class": "gevent"},
            "worker_class (calls run in threads, at most --max-threads at once, and no module is patched)",
        ),
        ({"worker_class": "uvicorn.workers.UvicornWorker"}, "worker_class (Ianus has one kind of worker)"),
        (
            {"reuse_port": True},
            "reuse_port (connections are spread over the workers without it; a port has one server)",
        ),
    ],
)
def test_values_without_effect_are_named(content: dict[str, Any], expected: str) -> None:
    assert ignored(**content) == [expected]


def test_objects_in_a_configuration_of_logging() -> None:
    reasons = ignored(logconfig_dict={"filters": {"x": {"()": object}}})
    assert reasons == ["logconfig_dict (it has objects that are not JSON; configure logging in the application)"]


def test_a_class_of_workers() -> None:
    class Mine:
        pass

    assert ignored(worker_class=Mine) == ["worker_class (Ianus has one kind of worker)"]
    (reason,) = ignored(worker_class=pytest.Item)
    assert reason == "worker_class (Ianus has one kind of worker; give the settings of this class as options)"
    assert given(False, worker_class="uvloop") == {"loop": "uvloop"}
    assert "x.py: worker_class 'trio' is not supported: " in refusal(False, worker_class="trio")
    both = refusal(worker_class="trio", spew=True)
    assert "worker_class 'trio' is not supported" in both
    assert "spew cannot be used" in both


@pytest.mark.parametrize(("value", "expected"), [("h1", False), ("h2,h1", True), (["h2"], True)])
def test_versions_of_http(value: Any, expected: bool) -> None:
    assert given(http_protocols=value) == {"http2": expected}


def test_usual_values_are_not_named() -> None:
    assert ignored(forwarder_headers="SCRIPT_NAME,PATH_INFO", spew=False) == []


def test_all_values_that_cannot_be_honoured_are_in_one_message() -> None:
    message = refusal(paste="a", dirty_apps=["b"], daemon=True, workers=2)
    assert message.startswith("x.py: paste cannot be used. Create the application in a module, ")
    assert "daemon cannot be used. The server runs in the foreground; " in message
    assert "quic_bind cannot be used. HTTP/3" in refusal(False, quic_bind=[":443"])


def test_an_origin_has_the_last_line_that_sets_the_name() -> None:
    text = "workers = 1\nthreads: int = 3\nif True:\n    workers = 7\nworkers=2\n"
    found = translate({"workers": 2, "threads": 3, "backlog": 9}, "x.py", text).given
    assert [(each.label, each.origin) for each in found] == [
        ("x.py:5: workers", "x.py:5"),
        ("x.py:2: threads", "x.py:2"),
        ("x.py: backlog", "x.py"),
    ]


@for_each_row("name", HOOKS.split())
def test_functions_of_these_names_are_hooks(name: str) -> None:
    assert translate({name: print}, "x.py", has_hooks=True).has_hooks
    assert translate({name: "project.hooks.function"}, "x.py", has_hooks=True).has_hooks
    assert not translate({name: None}, "x.py", has_hooks=True).has_hooks
    assert not translate({name: print}, "x.py").has_hooks
    assert name not in GUNICORN


def test_names_in_a_file_of_ianus_are_explained() -> None:
    assert closest_setting("loglevel") == "log_level"
    assert closest_setting("accesslog") == "access_logfile"
    assert closest_setting("include_server_header") == "server_header"
    assert closest_setting("daemon") == closest_setting("x") == ""


def test_the_page_names_all_settings_that_prevent_a_start() -> None:
    page = (Path(__file__).parents[2] / "docs/gunicorn.md").read_text()
    start = page.index("The start fails if a setting must not be ignored")
    named = set(re.findall(r"`(\w+)`", page[start : page.index("\n\n", start)])) - {"http", "worker_class"}
    refused = {name for name, entry in HYPERCORN.items() if isinstance(entry, Refused)}
    assert named - {"daemon"} == refused
    assert isinstance(GUNICORN["daemon"], Refused)
    assert isinstance(HYPERCORN["daemon"], Ignored)


def test_files_of_hypercorn_may_have_its_default_of_daemon() -> None:
    for path in ("hypercorn.toml", "hypercorn_conf.py"):
        assert translate({"daemon": True}, path, is_gunicorn=False).ignored == []
    # Of Gunicorn, perhaps, which would run in the background.
    assert "daemon cannot be used" in refusal(False, daemon=True)
