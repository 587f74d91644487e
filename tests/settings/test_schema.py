"""The table of settings: complete, consistent, immutable, checked."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ianus
from ianus.errors import ConflictError, SettingError
from ianus.settings import values
from ianus.settings.foreign_options import HINTS
from ianus.settings.schema import Settings, inputs, table
from ianus.settings.setting import MAX_SUMMARY
from ianus.settings.values import FdBind, Mount, TcpBind, UnixBind
from tests.rows import for_each_row


@for_each_row(("name", "setting", "default"), table())
def test_every_setting_is_described_and_has_a_valid_default(name: str, setting: Any, default: Any) -> None:
    assert re.fullmatch(r"[^\n]+\.", setting.summary)
    assert len(setting.summary) <= MAX_SUMMARY
    assert not re.search(r"\. [A-Z]", setting.summary), "more than one sentence"
    assert not setting.details or setting.details.endswith(".")
    assert setting.summary[0].isupper()
    assert setting.group
    assert setting.check(default) == default
    assert setting.to_text is values.boolean_to_text or setting.metavar
    for alias in setting.aliases:
        assert alias.name.isidentifier()
        assert alias.name.islower()


@for_each_row(("name", "setting", "default"), table())
def test_every_default_can_be_written_and_read_back(name: str, setting: Any, default: Any) -> None:
    texts = setting.texts(default)
    if default is None:
        assert texts == []
    else:
        assert setting.check(texts if setting.repeatable else texts[0]) == default


def test_no_name_and_no_letter_is_taken_twice() -> None:
    settings = list(inputs())
    names = [name for name, _ in settings] + [alias.name for _, setting in settings for alias in setting.aliases]
    assert len(names) == len(set(names))
    assert not {f"--{name.replace('_', '-')}" for name in names} & set(HINTS)
    letters = [setting.short for _, setting in settings if setting.short]
    assert len(letters) == len(set(letters))
    assert not set(letters) & set(HINTS)


def test_defaults() -> None:
    settings = Settings()
    assert settings.bind == (TcpBind("127.0.0.1", 8000),)
    assert settings.timeout_request_header == 10
    assert settings.timeout_keep_alive == 75
    assert settings.max_request_body_size == 1024**3
    assert settings.access_log is True
    assert settings.threads == "auto"
    assert settings.switch_interval == 0.001
    assert settings.workers == 1
    assert settings.timeout == 30


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().backlog = 1  # type: ignore[misc]


def test_values_are_converted() -> None:
    settings = Settings.from_values({"backlog": "7", "bind": "unix:x", "header": ["a: b"], "timeout_write": 3})
    assert settings.backlog == 7
    assert settings.bind == (UnixBind("x"),)
    assert settings.header == ((b"a", b"b"),)
    assert isinstance(settings.timeout_write, float)


def test_a_wrong_value_names_the_setting() -> None:
    with pytest.raises(SettingError) as caught:
        Settings.from_values({"backlog": "many"})
    assert caught.value.message == "backlog: 'many' is not a whole number from 1 to 2147483647."
    assert caught.value.setting == "backlog"


@for_each_row("name", ["backlog", "limit_request_line", "timeout_write", "ws_max_queue", "threads"])
def test_the_constructor_checks_ranges(name: str) -> None:
    """The engine does not check values again."""
    with pytest.raises(SettingError) as caught:
        Settings(**{name: -1})  # type: ignore[arg-type]
    assert caught.value.setting == name


def test_a_setting_that_does_not_exist_suggests_the_nearest() -> None:
    with pytest.raises(TypeError, match=r"unknown setting 'time_keep_alive'; did you mean 'timeout_keep_alive'\?"):
        Settings.from_values({"time_keep_alive": 3})
    with pytest.raises(TypeError, match=r"unknown setting 'xyzzy'$"):
        Settings.from_values({"xyzzy": 3})


@for_each_row(
    ("name", "expected"),
    [
        ("worker_class", "'worker_class'. Remove it: Ianus has one kind of worker."),
        ("ssl", "'ssl'. Write --ssl-certfile FILE --ssl-keyfile FILE."),
        ("config", "'config': only the command reads it; use ianus.settings.sources.read_sources()"),
        ("env", "'env': only the command reads it; use ianus.settings.sources.read_sources()"),
        ("env_files", "'env_files': only the command reads it; use ianus.settings.sources.read_sources()"),
    ],
)
def test_advice_for_a_known_name_precedes_similar_names(name: str, expected: str) -> None:
    with pytest.raises(TypeError) as caught:
        Settings.from_values({name: 3})
    assert str(caught.value) == f"unknown setting {expected}"


def test_none_is_not_given() -> None:
    nothing = {name: None for name, _ in inputs() if name not in ("app", "config", "env", "env_file")}
    assert Settings.from_values(nothing) == Settings()
    assert Settings(log_config=None, bind=None) == Settings()  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unknown setting 'xyzzy'"):
        Settings.from_values({"xyzzy": None})


@for_each_row("name", ["app_dir", "access_logfile", "error_log", "log_config", "reload_dirs", "uds"])
def test_paths_may_be_objects(name: str) -> None:
    assert Settings.from_values({name: Path("/a/b")}) == Settings.from_values({name: "/a/b"})
    assert Settings.from_values({name: Path("/a/b")}) != Settings()


def test_paths_in_a_list_may_be_objects() -> None:
    assert Settings(reload_dir=[Path("a"), "b"]).reload_dir == ("a", "b")  # type: ignore[arg-type]


def test_names_of_other_servers_are_understood() -> None:
    settings = Settings.from_values({"host": "0.0.0.0", "port": 80, "keep_alive": 5, "http1_header_read_timeout": 500})
    assert settings.bind == (TcpBind("0.0.0.0", 80),)
    assert settings.timeout_keep_alive == 5
    assert settings.timeout_request_header == 0.5
    assert Settings.from_values({"pidfile": "x", "processes": 3}) == Settings(pid_file="x", workers=3)
    assert Settings.from_values({"uds": "x", "fd": 3}).bind == (UnixBind("x"), FdBind(3))


def test_a_setting_is_given_by_one_of_its_names() -> None:
    with pytest.raises(SettingError, match="keep_alive: sets the same value as timeout_keep_alive; give one of them"):
        Settings.from_values({"timeout_keep_alive": 5, "keep_alive": 5})
    with pytest.raises(SettingError, match="port: sets the address to listen on, as bind does; give one of them"):
        Settings.from_values({"bind": "unix:x", "port": 80})


def test_from_python_only_given_values_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ianus.toml").write_text("backlog = 5\n")
    monkeypatch.setenv("IANUS_BACKLOG", "6")
    assert Settings.from_values({}) == Settings()
    with pytest.raises(TypeError, match="unknown setting 'config'"):
        Settings.from_values({"config": "ianus.toml"})


def test_at_least_one_address() -> None:
    with pytest.raises(SettingError, match="no address to listen on"):
        Settings(bind=())


def test_an_address_is_given_once() -> None:
    with pytest.raises(SettingError, match=r"127\.0\.0\.1:8000 is given twice"):
        Settings.from_values({"bind": ["127.0.0.1:8000", "8000"]})


def test_several_free_ports_are_several_addresses() -> None:
    assert len(Settings.from_values({"bind": ["127.0.0.1:0", "127.0.0.1:0"]}).bind) == 2


def test_applications_may_be_mounted_themselves() -> None:
    def application(environ: Any, start_response: Any) -> Any: ...

    expected = (Mount("/a", application), Mount("/b", "b:app"))
    assert Settings(mount=(Mount("/a/", application), ("/b", "b:app"))).mount == expected  # type: ignore[arg-type]
    assert Settings.from_values({"mount": [("/a", application), "/b=b:app"]}).mount == expected
    assert Settings.from_values({"mount": {"/a": application, "/b": "b:app"}}).mount == expected
    assert Settings.from_values({"mount": Mount("/b", "b:app")}).mount == expected[1:]


@pytest.mark.parametrize("value", [{"/a": None}, ("/a", print)])
def test_the_error_of_an_invalid_mount_from_python_has_the_form(value: object) -> None:
    with pytest.raises(SettingError, match=r' or from Python \[\("/api", api\)\]\.$'):
        Settings.from_values({"mount": value})


def test_a_path_has_one_application() -> None:
    with pytest.raises(SettingError, match=r"^mount: /a is given twice; remove one\.$"):
        Settings(mount=(Mount("/a", "b:app"), Mount("/a/", "c:app")))


def test_a_proxy_strips_the_prefix_or_keeps_it() -> None:
    with pytest.raises(SettingError, match=r"^root_path is given together with root_path_kept; "):
        Settings(root_path="/a", root_path_kept="/b")


def test_lines_in_json_have_no_format() -> None:
    with pytest.raises(
        SettingError, match=r"^access_log_format has no effect with log_format json; remove one of them\.$"
    ):
        Settings(access_log_format="%(h)s", log_format="json")


def test_no_setting_is_without_effect() -> None:
    package = Path(__file__).parents[2] / "ianus"
    source = "".join(path.read_text() for path in package.rglob("*.py") if path.parent.name != "settings")
    unused = {name for name, _, _ in table() if not re.search(rf"settings\.{name}\b", source)}
    assert unused == {"timeout_lifespan_shutdown"}, "Settings.stop_budget() uses this one"


def test_names_of_other_servers_are_understood_by_the_constructor_too() -> None:
    given: dict[str, Any] = {"host": "0.0.0.0", "port": 80, "keep_alive": 5, "processes": 3}
    assert Settings(**given) == Settings.from_values(given)
    with pytest.raises(TypeError, match=r"unknown setting 'time_keep_alive'; did you mean 'timeout_keep_alive'\?"):
        Settings(time_keep_alive=3)  # type: ignore[call-arg]
    with pytest.raises(SettingError, match="give one of them"):
        Settings(bind="a:1", host="b")  # type: ignore[arg-type, call-arg]


@pytest.mark.parametrize("make", [Settings, lambda **given: Settings.from_values(given)], ids=["Settings", "run"])
def test_options_that_change_nothing_are_warned_of_from_python_too(make: Any) -> None:
    with pytest.warns(
        UserWarning, match="^worker_class='uvloop' has no effect: Ianus has one kind of worker.$"
    ) as warned:
        assert make(worker_class="uvloop", backlog=3).backlog == 3
    assert warned[0].filename == __file__
    with pytest.warns(UserWarning, match="^die_on_term has no effect"):
        make(die_on_term=True)


def test_run_warns_of_settings_without_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ianus.process.start.start", lambda app, settings: 0)
    with pytest.warns(UserWarning, match="^max_requests_jitter has no effect without max-requests.$") as warned:
        ianus.run("main:app", max_requests_jitter=3)
    assert warned[0].filename == __file__
    with pytest.warns(UserWarning, match="^sendfile is for WSGI applications"):
        ianus.run("main:app", sendfile=True)


@pytest.mark.parametrize(("name", "value"), [("workers", "x"), ("bind", "127.0.0.1:99999")])
def test_run_raises_for_a_wrong_value(name: str, value: str) -> None:
    """The calling program has made the mistake, so it gets the exception, and no message is printed."""
    with pytest.raises(ValueError, match=f"^{name}: ") as caught:
        ianus.run("main:app", **{name: value})
    assert type(caught.value) is ianus.SettingError
    with pytest.raises(TypeError, match="unknown setting 'wrokers'"):
        ianus.run("main:app", wrokers=2)


@pytest.mark.parametrize("address", ["127.0.0.1:9000", "unix:/run/a.sock"])
def test_the_admin_socket_has_an_address_of_its_own(address: str) -> None:
    with pytest.raises(SettingError, match=f"are both {address}; give each its own port or path"):
        Settings.from_values({"bind": address, "admin_bind": address})
    Settings.from_values({"bind": "127.0.0.1:0", "admin_bind": "127.0.0.1:0"})


@pytest.mark.parametrize("name", ["port", "prefix"])
def test_the_field_forwarded_has_neither_port_nor_prefix(name: str) -> None:
    with pytest.raises(SettingError, match=f"has {name}, which the field Forwarded cannot have; remove it"):
        Settings(forwarded_headers="forwarded", forwarded_fields=("for", name))
    Settings(forwarded_headers="forwarded", forwarded_fields=("for", "proto", "host"))
    Settings(forwarded_headers="x-forwarded", forwarded_fields=(name,))


@pytest.fixture
def tls(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Settings with TLS."""
    monkeypatch.setattr(Settings, "uses_tls", lambda self: True)
    return lambda **given: Settings.from_values(given)


def test_an_address_has_tls_or_not(tls: Callable[..., Settings]) -> None:
    assert tls(bind=":8443", insecure_bind=":8080,:8081").all_binds() == (
        TcpBind("", 8443),
        TcpBind("", 8080),
        TcpBind("", 8081),
    )
    with pytest.raises(ConflictError, match="insecure_bind and bind are both"):
        tls(bind=":8000", insecure_bind=":8000")
    with pytest.raises(SettingError, match="given twice"):
        tls(insecure_bind=":8080,:8080")


def test_a_redirect_needs_an_address_without_tls(tls: Callable[..., Settings]) -> None:
    with pytest.raises(ConflictError, match="name their address with --insecure-bind"):
        tls(https_redirect=True)
