"""Becoming another user: looked up in advance, complete, irrevocable, and giving away no more than log files."""

import grp
import json
import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ianus.acceptor.listener import listen_unix
from ianus.errors import StartupError
from ianus.process.privileges import Identity, give_log, resolve

# A user id without a user.
STRANGER = 54321

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

# The change of user cannot be undone, so it is made in a process of its own.
PROGRAM = """
import json, os, sys
from ianus.process.privileges import assume, resolve
identity = resolve(*sys.argv[1:])
assume(identity)
ids = [os.getresuid(), os.getresgid(), sorted(os.getgroups())]
refused = []
for function, number in ((os.setuid, 0), (os.setgid, 0), (os.seteuid, 0)):
    try:
        function(number)
    except PermissionError:
        refused.append(function.__name__)
json.dump([*ids, refused, os.environ["HOME"]], sys.stdout)
"""


@pytest.fixture
def somebody() -> pwd.struct_passwd:
    """Another user than the current one."""
    return next(each for each in pwd.getpwall() if each.pw_uid not in (0, os.geteuid()) and each.pw_gid != 0)


def refusal(user: str, group: str) -> str:
    with pytest.raises(StartupError) as caught:
        resolve(user, group)
    return caught.value.message


def after(user: str, group: str) -> Any:
    command = [sys.executable, "-c", PROGRAM, user, group]
    completed = subprocess.run(command, capture_output=True, check=True, text=True)
    return json.loads(completed.stdout)


# --- Names and numbers of users ---


def test_empty_names_change_no_user() -> None:
    assert resolve("", "") is None


def test_the_present_user_is_not_a_change() -> None:
    own = pwd.getpwuid(os.geteuid())
    assert resolve(str(own.pw_uid), str(os.getegid())) is None
    assert resolve(own.pw_name, grp.getgrgid(os.getegid()).gr_name) is None


def test_unknown_names() -> None:
    assert refusal("no-such-user", "") == "There is no user 'no-such-user'; see --user."
    assert refusal("", "no-such-group") == "There is no group 'no-such-group'; see --group."
    assert refusal("4294967295", "") == "There is no user '4294967295'; see --user."
    assert refusal("", "\xb2") == "There is no group '\xb2'; see --group."


def test_a_number_without_an_entry_has_no_group() -> None:
    assert refusal(str(STRANGER), "") == (f"The user {STRANGER} has no entry with a group; name one with --group.")


def test_users_other_than_root_cannot_change_their_user(
    monkeypatch: pytest.MonkeyPatch, somebody: pwd.struct_passwd
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: somebody.pw_uid)
    monkeypatch.setattr(os, "getegid", lambda: somebody.pw_gid)
    assert resolve(somebody.pw_name, "") is None
    assert refusal("root", "") == "--user root works for root alone; start the server as root, or remove it."
    assert refusal("", str(STRANGER)).startswith(f"--group {STRANGER} works for root alone; ")


@as_root
def test_a_user_has_all_its_groups(monkeypatch: pytest.MonkeyPatch, somebody: pwd.struct_passwd) -> None:
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [gid, 7, 8] if name == somebody.pw_name else [])
    expected = Identity(somebody.pw_uid, somebody.pw_gid, (somebody.pw_gid, 7, 8))
    assert resolve(somebody.pw_name, "") == resolve(str(somebody.pw_uid), "") == expected
    assert resolve(somebody.pw_name, str(STRANGER)) == Identity(somebody.pw_uid, STRANGER, (STRANGER, 7, 8))


@as_root
def test_numbers_need_no_entry() -> None:
    assert resolve(str(STRANGER), str(STRANGER)) == Identity(STRANGER, STRANGER, (STRANGER,))


# --- Becoming it ---


@as_root
@pytest.mark.parametrize("group", ["", str(STRANGER)])
def test_there_is_no_way_back(group: str, somebody: pwd.struct_passwd) -> None:
    gid = int(group) if group else somebody.pw_gid
    users, groups, supplementary, refused, home = after(somebody.pw_name, group)
    assert users == [somebody.pw_uid] * 3
    assert groups == [gid] * 3
    assert supplementary == sorted(set(os.getgrouplist(somebody.pw_name, gid)))
    assert refused == ["setuid", "setgid", "seteuid"]
    assert home == os.environ["HOME"]


@as_root
def test_a_group_alone() -> None:
    users, groups, *_ = after("", str(STRANGER))
    assert users == [0] * 3
    assert groups == [STRANGER] * 3


# --- Files ---

IDENTITY = Identity(STRANGER, STRANGER, (STRANGER,))


SETTING = "--access-logfile"


def give_refusal(path: Path) -> str:
    with pytest.raises(StartupError) as caught:
        give_log(IDENTITY, str(path), SETTING)
    return caught.value.message


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder that the other user can write to."""
    path = tmp_path / "theirs"
    path.mkdir()
    os.chown(path, STRANGER, STRANGER)
    return path


@as_root
def test_logs_are_given_away(tmp_path: Path, theirs: Path) -> None:
    existing, new, in_theirs = tmp_path / "existing", tmp_path / "new", theirs / "new"
    existing.touch()
    for path in (existing, new, in_theirs, in_theirs):
        give_log(IDENTITY, str(path), SETTING)
    assert {(each.stat().st_uid, each.stat().st_gid) for each in (existing, new, in_theirs)} == {(STRANGER, STRANGER)}


@as_root
def test_other_files_keep_their_owner(tmp_path: Path) -> None:
    hard, pipe = tmp_path / "hard", tmp_path / "pipe"
    (tmp_path / "other").touch()
    hard.hardlink_to(tmp_path / "other")
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    for path in (hard, pipe, Path("/dev/null")):
        give_log(IDENTITY, str(path), SETTING)
    os.close(reader)
    assert {each.lstat().st_uid for each in (hard, pipe, Path("/dev/null"))} == {0}


@as_root
def test_a_file_of_root_that_was_moved_in_place_of_a_log_is_not(theirs: Path) -> None:
    secret = theirs / "secret"
    secret.write_text("secret")
    assert give_refusal(secret).startswith(
        f"The log file {secret} cannot be opened ({secret} belongs to user 0 and not to user {STRANGER}, in a folder "
        "that other users than root can write to). Give it to that user (chown), or let only root write to that folder"
    )
    assert secret.stat().st_uid == 0


@as_root
def test_a_link_in_a_folder_that_the_user_can_write_to_is_refused(theirs: Path, tmp_path: Path) -> None:
    link = theirs / "log"
    link.symlink_to(tmp_path / "target")
    assert f"({link} is a symbolic link, in a folder that other users than root can write to)" in give_refusal(link)
    assert not (tmp_path / "target").exists()


@as_root
def test_the_groups_of_the_user_count(tmp_path: Path) -> None:
    log, other = tmp_path / "log", tmp_path / "group"
    other.mkdir()
    (other / "log").touch()
    log.symlink_to(other / "log")
    os.chown(other, 0, STRANGER + 1)
    other.chmod(0o775)
    give_log(IDENTITY, str(log), SETTING)
    assert log.stat().st_uid == STRANGER
    os.chown(log, 0, 0)
    os.chown(other, 0, STRANGER)
    assert "belongs to user 0" in give_refusal(log)


@as_root
def test_sockets_are_given_away_that_were_made_here(theirs: Path) -> None:
    path, moved = theirs / "app.sock", theirs / "moved.sock"
    listener = listen_unix(str(path), backlog=16)
    listener.give(STRANGER, STRANGER)
    assert path.stat().st_uid == STRANGER
    os.chown(path, 0, 0)
    path.rename(moved)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        listener.give(STRANGER, STRANGER)
    assert (path.stat().st_uid, moved.stat().st_uid) == (0, 0)
    listener.close()
    assert path.exists()
