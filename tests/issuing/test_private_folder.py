"""The folder of keys."""

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from ianus.errors import StartupError
from ianus.issuing.private_folder import PrivateFolder


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = PrivateFolder(str(tmp_path / "a" / "b"), "--x")
        folder.write("key.pem", b"secret")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "b" / "key.pem").stat().st_mode) == 0o600
    assert folder.read("key.pem") == b"secret"
    assert folder.read("other.pem") is None
    folder.write("key.pem", b"another")
    assert [each.name for each in Path(folder.path).iterdir()] == ["key.pem"]


def test_a_folder_with_access_for_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    with pytest.raises(StartupError, match=r"Other users have access to the folder .*open, .* Run `chmod 700 "):
        PrivateFolder(str(tmp_path / "open"), "--x")


def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match=r"cannot be made \(.*\)\. Name another one with --x\."):
        PrivateFolder(str(tmp_path / "file" / "sub"), "--x")


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.raises(StartupError, match="belongs to another user"):
        PrivateFolder(str(tmp_path), "--x")


def _try_lock(path: str) -> bool:
    with PrivateFolder(path, "--x").lock(waits=False) as has_lock:
        return has_lock


@pytest.mark.slow
def test_one_process_has_the_lock(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    folder = PrivateFolder(str(tmp_path), "--x")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        with folder.lock() as has_lock:
            assert has_lock
            assert not pool.apply(_try_lock, (folder.path,))
        assert pool.apply(_try_lock, (folder.path,))
