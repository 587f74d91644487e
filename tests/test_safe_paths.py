"""Root opens files in folders of other users: never the target of a link of theirs."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ianus.acceptor.listener import listen_unix
from ianus.errors import StartupError
from ianus.process.supervisor.pid_file import PidFile
from ianus.safe_paths import Parent, UnsafePathError
from ianus.telemetry.logs import LogFile

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the kernel protects all users but root")

STRANGER = 54321


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("secret")
    return path


@pytest.fixture(params=["owned", "world", "sticky", "group", "below"])
def theirs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder that another user can write to, or move."""
    path = tmp_path / "theirs"
    path.mkdir()
    if request.param == "group":
        os.chown(path, 0, STRANGER)
    elif request.param in ("owned", "below"):
        os.chown(path, STRANGER, 0)
    path.chmod({"world": 0o777, "sticky": 0o1777, "group": 0o775}.get(request.param, 0o755))
    if request.param == "below":
        path /= "below"
        path.mkdir()
    return path


def refusal(path: Path) -> str:
    with pytest.raises(StartupError) as caught:
        LogFile(str(path), "--access-logfile", 1)
    return caught.value.message


def append(path: Path) -> None:
    file = LogFile(str(path), "--access-logfile", 1)
    os.write(file.fd, b"line\n")
    file.close()


def test_a_symbolic_link_in_place_of_a_log_is_refused(theirs: Path, secret: Path) -> None:
    link = theirs / "access.log"
    link.symlink_to(secret)
    assert refusal(link) == (
        f"The log file {link} cannot be opened ({link} is a symbolic link, in a folder that other users than root can "
        "write to). Replace it by a regular file, or let only root write to that folder, or choose another file with "
        "--access-logfile; - is the terminal."
    )
    assert secret.read_text() == "secret"


def test_a_link_to_nothing_creates_nothing(theirs: Path, tmp_path: Path) -> None:
    (theirs / "access.log").symlink_to(tmp_path / "new")
    assert "is a symbolic link" in refusal(theirs / "access.log")
    assert not (tmp_path / "new").exists()


def test_a_hard_link_in_place_of_a_log_is_refused(theirs: Path, secret: Path) -> None:
    (theirs / "access.log").hardlink_to(secret)
    assert "has a second name (a hard link)" in refusal(theirs / "access.log")
    assert secret.read_text() == "secret"


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


@pytest.mark.parametrize("make", [os.mkfifo, make_socket])
def test_a_pipe_or_socket_in_place_of_a_log_is_refused_at_once(theirs: Path, make: Callable[[Path], None]) -> None:
    make(theirs / "access.log")
    assert "is not a regular file" in refusal(theirs / "access.log")


def test_a_link_in_place_of_the_folder_is_refused(theirs: Path, tmp_path: Path) -> None:
    (theirs / "logs").symlink_to(tmp_path)
    assert "leads over 'logs', a symbolic link" in refusal(theirs / "logs" / "access.log")
    assert "leads through .." in refusal(theirs / ".." / "access.log")
    assert not (tmp_path / "access.log").exists()


def test_a_link_of_root_that_leads_to_a_link_of_theirs_is_refused(theirs: Path, tmp_path: Path, secret: Path) -> None:
    (theirs / "access.log").symlink_to(secret)
    (tmp_path / "access.log").symlink_to("theirs/access.log" if theirs.name == "theirs" else "theirs/below/access.log")
    assert "is a symbolic link" in refusal(tmp_path / "access.log")
    assert secret.read_text() == "secret"


def test_regular_files_there_are_written_to(theirs: Path) -> None:
    for _ in range(2):
        append(theirs / "access.log")
    assert (theirs / "access.log").read_text() == "line\nline\n"


def test_a_link_is_refused_when_logs_are_reopened(theirs: Path, secret: Path) -> None:
    file = LogFile(str(theirs / "access.log"), "--access-logfile", 1)
    (theirs / "access.log").unlink()
    (theirs / "access.log").symlink_to(secret)
    with pytest.raises(UnsafePathError):
        file.reopen()
    file.close()
    assert secret.read_text() == "secret"


# --- Folders of root ---


def test_links_in_folders_of_root_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to("real")
    (tmp_path / "link").symlink_to("folder/../real/./access.log")
    (tmp_path / "absolute").symlink_to(tmp_path / "link")
    append(tmp_path / "absolute")
    assert (tmp_path / "real" / "access.log").read_text() == "line\n"


def test_links_in_a_circle_are_reported(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    assert "Too many levels of symbolic links" in refusal(tmp_path / "one")


@pytest.mark.parametrize("path", ["/dev/stdout", "/proc/self/fd/1", "/dev/fd/1", "/dev/null"])
def test_standard_streams_and_devices_can_be_named(path: str, tmp_path: Path) -> None:
    before = os.dup(1)
    fd = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    try:
        os.dup2(fd, 1)
        append(Path(path))
    finally:
        os.dup2(before, 1)
        os.close(before)
        os.close(fd)
    assert (tmp_path / "out").read_text() == ("" if path == "/dev/null" else "line\n")


def test_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    append(Path("access.log"))
    assert (tmp_path / "access.log").read_text() == "line\n"


def test_no_descriptor_is_left(theirs: Path, secret: Path) -> None:
    (theirs / "link").symlink_to(secret)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("link", "link/below", "none/below"):
        with pytest.raises(OSError, match=r"symbolic link|No such file"), Parent(str(theirs / name), follow=True):
            pass
    with Parent(str(theirs / "file")):
        pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# --- Pid files and sockets ---


def test_a_pid_file_is_not_read_through_a_link(theirs: Path, tmp_path: Path) -> None:
    (tmp_path / "stale").write_text("")
    (theirs / "ianus.pid").symlink_to(tmp_path / "stale")
    with pytest.raises(StartupError, match="is a symbolic link, in a folder that other users"):
        PidFile(str(theirs / "ianus.pid"))
    assert (theirs / "ianus.pid").is_symlink()


def test_a_pid_file_is_not_removed_from_another_folder(theirs: Path, tmp_path: Path) -> None:
    logs, elsewhere = theirs / "run", tmp_path / "elsewhere"
    for folder in (logs, elsewhere):
        folder.mkdir()
    file = PidFile(str(logs / "ianus.pid"))
    (elsewhere / "ianus.pid").write_text(f"{os.getpid()}\n")
    logs.rename(theirs / "before")
    logs.symlink_to(elsewhere)
    file.remove()
    with pytest.raises(UnsafePathError):
        Parent(str(logs / "ianus.pid"))
    assert (elsewhere / "ianus.pid").exists()


def test_a_socket_file_is_not_removed_from_another_folder(theirs: Path, tmp_path: Path) -> None:
    run, elsewhere = theirs / "run", tmp_path / "elsewhere"
    for folder in (run, elsewhere):
        folder.mkdir()
    listener = listen_unix(str(run / "app.sock"), backlog=16)
    os.link(run / "app.sock", elsewhere / "app.sock")
    run.rename(theirs / "before")
    run.symlink_to(elsewhere)
    listener.close()
    assert (elsewhere / "app.sock").exists()
    with pytest.raises(StartupError, match="leads over 'run', a symbolic link"):
        listen_unix(str(run / "app.sock"), backlog=16)


def test_permissions_of_a_socket_in_their_folder(theirs: Path) -> None:
    listener = listen_unix(str(theirs / "app.sock"), backlog=16, permissions=0o660)
    assert (theirs / "app.sock").stat().st_mode & 0o777 == 0o660
    listener.close()
    assert not (theirs / "app.sock").exists()
