"""The log names the users that can connect to a Unix socket, and each obstacle of the others."""

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ianus.process import unix_access
from ianus.process.unix_access import find_restriction, log_restrictions
from ianus.telemetry.logger import logger
from tests.rows import for_each_row


@pytest.fixture
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file in a folder, as if all folders above were open."""
    path = tmp_path / "run/app.sock"
    path.parent.mkdir()
    path.touch()
    found = unix_access._closed_folders
    monkeypatch.setattr(
        unix_access,
        "_closed_folders",
        lambda path: ((folder, status) for folder, status in found(path) if folder.startswith(f"{tmp_path}/")),
    )
    yield path
    path.parent.chmod(0o700)


CHMOD = "chmod o+x {folder}"


@for_each_row(
    ("permissions", "of_folder", "users", "fix", "is_unintended"),
    [
        (0o660, 0o755, "{owner} and group {group}", "see --uds-permissions", False),
        (0o600, 0o755, "{owner}", "see --uds-permissions", False),
        (0o666, 0o700, "{owner}", f"for others, {CHMOD}", True),
        (0o666, 0o710, "{owner} and group {group}", f"for others, {CHMOD}", False),
        (0o660, 0o700, "{owner}", f"for group {{group}}, {CHMOD}", True),
        (0o660, 0o710, "{owner} and group {group}", f"for others, see --uds-permissions, and {CHMOD}", False),
        (0o600, 0o700, "{owner}", f"for others, see --uds-permissions, and {CHMOD}", False),
    ],
)
def test_each_obstacle_is_named(
    permissions: int, of_folder: int, users: str, fix: str, is_unintended: bool, socket: Path
) -> None:
    socket.chmod(permissions)
    socket.parent.chmod(of_folder)
    restriction = find_restriction(str(socket))
    assert restriction is not None
    status = socket.stat()
    names = {
        "owner": unix_access._users(status, with_group=False),
        "group": unix_access._group(status),
        "folder": socket.parent,
    }
    assert restriction.reason.startswith(f"only {users} can connect".format(**names))
    assert restriction.reason.endswith(f"; {fix}".format(**names))
    assert restriction.is_unintended == is_unintended


def test_an_open_socket_is_not_mentioned(socket: Path) -> None:
    socket.chmod(0o666)
    socket.parent.chmod(0o755)
    assert find_restriction(str(socket)) is None
    assert find_restriction(f"{socket}.gone") is None


@pytest.mark.parametrize(("of_folder", "level"), [(0o700, logging.WARNING), (0o710, logging.INFO)])
def test_a_folder_that_closes_out_all_others_is_a_warning(
    of_folder: int, level: int, socket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket.chmod(0o666)
    socket.parent.chmod(of_folder)
    logged: list[tuple[int, str]] = []
    for name, number in (("warning", logging.WARNING), ("info", logging.INFO)):
        monkeypatch.setattr(logger, name, lambda text, *args, number=number: logged.append((number, text % args)))
    log_restrictions([cast(Any, SimpleNamespace(path=str(socket), address=f"unix:{socket}"))])
    ((logged_level, message),) = logged
    assert logged_level == level
    assert message.startswith(f"access to a Unix socket is restricted: unix:{socket}: only ")
    assert message.endswith(" (ianus docs starting)")
