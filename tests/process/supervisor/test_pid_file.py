"""The pid file: created new, replaced if it is stale, removed only by the process that has created it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ianus.errors import StartupError
from ianus.process.supervisor.pid_file import PidFile

OWN = f"{os.getpid()}\n"
RUNNING = os.getppid()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ianus.pid"


def refusal(path: Path) -> str:
    with pytest.raises(StartupError) as caught:
        PidFile(str(path))
    return caught.value.message


def ended_pid() -> int:
    """The number of a process that has been there."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_pid_file_has_the_number_of_the_process(path: Path) -> None:
    before = os.umask(0o022)
    try:
        file = PidFile(str(path))
    finally:
        os.umask(before)
    assert path.read_text() == OWN
    assert path.stat().st_mode & 0o777 == 0o644
    file.remove()
    assert not path.exists()
    file.remove()


# --- Files that are there ---


def test_that_of_a_server_that_runs_is_left_alone(path: Path) -> None:
    path.write_text(f"{RUNNING}\n")
    assert refusal(path) == (
        f"A server runs already: process {RUNNING} of {path}. Stop it, or choose another file with --pid-file."
    )
    assert path.read_text() == f"{RUNNING}\n"


def test_a_later_process_with_the_same_number_does_not_count(path: Path) -> None:
    path.write_text(f"{RUNNING}\n")
    day_before_boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) - 86400
    os.utime(path, (day_before_boot, day_before_boot))
    PidFile(str(path))
    assert path.read_text() == OWN


@pytest.mark.parametrize(
    "content",
    [lambda: str(ended_pid()), lambda: OWN, lambda: "", lambda: "\n", lambda: "0", lambda: "9" * 30],
    ids=["ended", "own", "empty", "line", "0", "long"],
)
def test_stale_ones_are_replaced(content: Callable[[], str], path: Path) -> None:
    path.write_text(content())
    PidFile(str(path))
    assert path.read_text() == OWN


@pytest.mark.parametrize("content", ["import os\n", "-1", "\xb2", "12 13"])
def test_other_files_are_not(content: str, path: Path) -> None:
    path.write_text(content)
    assert refusal(path) == f"{path} is not a pid file: it has no number. Choose another file with --pid-file."
    assert path.read_text() == content


def test_links_are_not_followed(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    assert "cannot be made (File exists). Remove it, or choose another one with --pid-file." in refusal(path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    message = refusal(tmp_path / "no" / "ianus.pid")
    assert message.endswith(
        "cannot be made (No such file or directory). Create its directory, or choose another one with --pid-file."
    )


def test_a_directory_in_its_place(tmp_path: Path) -> None:
    assert "cannot be made (Is a directory). Name a file in it, " in refusal(tmp_path)


# --- While it is there ---


def test_a_pid_file_can_be_renamed(path: Path, tmp_path: Path) -> None:
    file = PidFile(str(path))
    other = tmp_path / "other.pid"
    other.write_text("1")
    file.move(str(other))
    assert not path.exists()
    assert other.read_text() == OWN
    file.remove()
    assert not other.exists()


def test_a_file_of_another_server_is_neither_moved_nor_removed(path: Path, tmp_path: Path) -> None:
    file = PidFile(str(path))
    path.write_text("1\n")
    file.remove()
    file.move(str(tmp_path / "other.pid"))
    assert path.read_text() == "1\n"
    assert not (tmp_path / "other.pid").exists()


def test_a_file_that_another_process_has_removed(path: Path) -> None:
    file = PidFile(str(path))
    path.unlink()
    file.remove()


def test_a_child_does_not_remove_it(path: Path) -> None:
    file = PidFile(str(path))
    pid = os.fork()
    if pid == 0:
        file.remove()
        os._exit(0)
    os.waitpid(pid, 0)
    assert path.exists()
