"""--print-config: every setting with its origin, as an equivalent file."""

import re
from pathlib import Path

import pytest

from ianus.settings.schema import Settings, table
from ianus.settings.sources import Configuration, read_sources
from ianus.settings.toml_dump import dump_toml

UNUSUAL = Settings.from_values(
    {
        "bind": ["0.0.0.0:80", "[::1]:8000", "unix:/run/a b.sock", "fd://3", ":0"],
        "uds_permissions": "640",
        "admin_bind": "unix:/run/admin.sock",
        "umask": "007",
        "workers": "auto",
        "backlog": 7,
        "mount": ["/api=api:app", ("/ws", "ws:make()")],
        "threads": 4,
        "switch_interval": 0.0005,
        "factory": True,
        "app_dir": "ä\\'\"\t\x7f",
        "root_path": "/a",
        "proxy_headers": True,
        "use_colors": False,
        "forwarded_allow_ips": "10.0.0.0/8,unix",
        "forwarded_headers": "x-forwarded",
        "forwarded_fields": "for,proto,host",
        "timeout_write": 0,
        "timeout_keep_alive": 0.0001,
        "max_request_body_size": 1001,
        "limit_request_line": "2K",
        "header": ["A: b, c", "D: \xe4"],
        "access_log": False,
        "access_log_exclude": ["/health", "/static/*"],
        "reload_include": [],
    }
)


def test_each_heading_is_printed_once() -> None:
    headings = re.findall(r"^# ([^=]+)$", dump_toml(Configuration("", Settings(), {})), re.MULTILINE)
    assert len(headings) == len(set(headings)) > 5


@pytest.mark.parametrize("settings", [Settings(), UNUSUAL, Settings(uds_permissions=0)])
def test_printed_settings_can_be_read_again(settings: Settings, nowhere: Path) -> None:
    text = dump_toml(Configuration("main:app", settings, {}))
    (nowhere / "ianus.toml").write_text(text)
    configuration = read_sources((), {})
    assert (configuration.app, configuration.settings) == ("main:app", settings)


def test_every_setting_is_printed_with_its_origin() -> None:
    text = dump_toml(Configuration("main:app", UNUSUAL, {"app": "command line", "backlog": "ianus.toml:3"}))
    for name, setting, _ in table():
        assert re.search(rf"^{name} = .*  # ", text, re.MULTILINE)
        assert f"\n# {setting.group}\n" in text
    assert re.search(r'^app = "main:app" +# command line$', text, re.MULTILINE)
    assert re.search(r"^backlog = 7 +# ianus\.toml:3$", text, re.MULTILINE)
    assert re.search(r'^limit_request_line = "2K" +# default$', text, re.MULTILINE)


def test_unset_settings_are_comments() -> None:
    text = dump_toml(Configuration("", Settings(), {}))
    assert re.search(r"^# app = +# not set$", text, re.MULTILINE)
    assert re.search(r"^# uds_permissions = +# default$", text, re.MULTILINE)
