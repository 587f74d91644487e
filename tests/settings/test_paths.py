"""Relative paths of settings mean the directory in which the server was started."""

import os
from pathlib import Path

import pytest

from ianus.settings import values
from ianus.settings.paths import MAX_SOCKET_PATH_BYTES, resolve_paths, resolve_sockets
from ianus.settings.schema import Settings, table
from ianus.settings.tls_values import PROTECTING
from ianus.settings.values import Bind, FdBind, TcpBind, UnixBind

pytestmark = pytest.mark.usefixtures("nowhere")

PATHS = [(name, setting) for name, setting, _ in table() if setting.parse in (values.path, values.log_file)]


@pytest.mark.parametrize("name", [name for name, _ in PATHS])
def test_each_path_becomes_absolute(name: str, nowhere: Path) -> None:
    # Each of them is refused without TLS.
    beside = {source: "c.example" for source, names in PROTECTING.items() if name in names}
    if name == "ssl_crl":
        beside["ssl_ca_certs"] = "a.pem"
    resolved = getattr(resolve_paths(Settings.from_values({**beside, name: "sub/file"})), name)
    assert resolved in (f"{nowhere}/sub/file", (f"{nowhere}/sub/file",))


def test_all_settings_that_are_files_are_known() -> None:
    assert {name for name, _ in PATHS} == {
        *("app_dir", "spool_dir", "access_logfile", "error_logfile", "log_config", "pid_file", "reload_dir"),
        *("chdir", "pythonpath", "ssl_certfile", "ssl_keyfile", "ssl_cert_dir", "ssl_ca_certs", "ssl_crl"),
        "tls_auto_dir",
    }


def test_each_path_of_several_becomes_absolute(nowhere: Path) -> None:
    settings = resolve_paths(Settings(reload_dir=("a", "/b", "c/")))
    assert settings.reload_dir == (f"{nowhere}/a", "/b", f"{nowhere}/c")


def test_paths_start_at_the_directory_of_chdir(nowhere: Path) -> None:
    settings = resolve_paths(Settings(chdir="site", pid_file="server.pid", app_dir="src", reload_dir=("/a", "b")))
    assert settings.chdir == f"{nowhere}/site"
    assert settings.pid_file == f"{nowhere}/site/server.pid"
    assert settings.app_dir == f"{nowhere}/site/src"
    assert settings.reload_dir == ("/a", f"{nowhere}/site/b")
    assert resolve_paths(settings) == settings
    bind = (UnixBind("app.sock"),)
    assert resolve_sockets(Settings(chdir="site", bind=bind)).bind == (UnixBind(f"{nowhere}/site/app.sock"),)


def test_a_directory_that_the_application_enters_later_has_no_effect(nowhere: Path) -> None:
    settings = resolve_paths(Settings(pid_file="server.pid"))
    (nowhere / "other").mkdir()
    os.chdir("other")
    assert resolve_paths(settings) == settings
    assert settings.pid_file == f"{nowhere}/server.pid"


@pytest.mark.parametrize("path", ["-", "/var/log/ianus.log", "/var/../log"])
def test_standard_streams_and_absolute_paths_stay_as_they_are(path: str) -> None:
    assert resolve_paths(Settings(error_logfile=path)).error_logfile == path


def test_a_parent_directory_stays_in_the_path(nowhere: Path) -> None:
    """After a link to a directory, `..` is the parent of that directory, and not of the link."""
    (nowhere / "far" / "away").mkdir(parents=True)
    (nowhere / "link").symlink_to("far/away")
    resolved = resolve_paths(Settings(pid_file="link/../server.pid")).pid_file
    assert resolved == f"{nowhere}/link/../server.pid"
    Path(resolved).touch()
    assert (nowhere / "far" / "server.pid").exists()


def test_a_current_directory_that_was_removed_resolves_nothing(nowhere: Path) -> None:
    (nowhere / "removed").mkdir()
    os.chdir("removed")
    (nowhere / "removed").rmdir()
    settings = Settings(pid_file="server.pid")
    assert resolve_paths(settings) == settings


def test_settings_without_a_relative_path_are_the_same_object() -> None:
    settings = Settings(app_dir="/srv", pid_file="/run/server.pid", log_config='{"version": 1}')
    assert resolve_paths(settings) is settings


def test_sockets_become_absolute_in_a_step_of_their_own(nowhere: Path) -> None:
    settings = Settings.from_values({"bind": ["unix:app.sock", "127.0.0.1:0", "fd://3", "unix:/run/app.sock"]})
    assert resolve_paths(settings).bind == settings.bind
    expected: tuple[Bind, ...] = (TcpBind("127.0.0.1", 0), FdBind(3), UnixBind("/run/app.sock"))
    assert resolve_sockets(settings).bind == (UnixBind(f"{nowhere}/app.sock"), *expected)


def test_sockets_stay_relative_if_the_kernel_would_reject_the_path(nowhere: Path) -> None:
    free = MAX_SOCKET_PATH_BYTES - len(os.fsencode(f"{nowhere}/"))
    fits, exceeds = "s" * free, "s" * (free + 1)
    settings = Settings(bind=(UnixBind(fits), UnixBind(exceeds)))
    assert resolve_sockets(settings).bind == (UnixBind(f"{nowhere}/{fits}"), UnixBind(exceeds))
    # The limit is in bytes, and this character has two.
    settings = Settings(bind=(UnixBind("\u00e9" * (free // 2 + 1)),))
    assert resolve_sockets(settings) is settings
