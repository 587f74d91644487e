"""Notifications to systemd."""

import logging
import os
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from ianus.process.supervisor import systemd as module
from ianus.process.supervisor.systemd import Watchdog, format_extension, notify


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_states_are_sent(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "notify") if kind == "path" else f"@{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address.replace("@", "\0"))
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notify("READY=1")
        notify("RELOADING=1\nMONOTONIC_USEC=5")
        assert systemd.recv(100) == b"READY=1"
        assert systemd.recv(100) == b"RELOADING=1\nMONOTONIC_USEC=5"


@pytest.mark.parametrize("address", [None, ""])
def test_without_systemd_nothing_happens(
    address: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")
    assert caplog.records == []


@pytest.mark.parametrize(("name", "reason"), [("notify", "No such file or directory"), ("n" * 120, "AF_UNIX path too")])
def test_an_unreachable_manager_is_logged(
    name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / name))
    notify("READY=1")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"cannot notify systemd of READY=1: {reason}")


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "manager"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "manager"))
        monkeypatch.setenv("WATCHDOG_USEC", "10000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        yield manager


def test_the_watchdog_is_notified_at_half_its_interval(systemd: socket.socket) -> None:
    watchdog = Watchdog()
    for now, is_due in ((100.0, True), (104.9, False), (105.0, True), (110.0, True)):
        watchdog.step(now, is_alive=True)
        if is_due:
            assert systemd.recv(100) == b"WATCHDOG=1"
            assert watchdog.due() == now + 5.0
        with pytest.raises(BlockingIOError):
            systemd.recv(1)


def test_without_progress_the_watchdog_is_not_notified(systemd: socket.socket) -> None:
    watchdog = Watchdog()
    watchdog.step(100.0, is_alive=False)
    with pytest.raises(BlockingIOError):
        systemd.recv(1)
    assert watchdog.due() == 105.0


@pytest.mark.usefixtures("systemd")
@pytest.mark.parametrize(
    ("name", "value"),
    [("WATCHDOG_USEC", ""), ("WATCHDOG_USEC", "x"), ("WATCHDOG_USEC", "9" * 5000), ("WATCHDOG_PID", "1")],
)
def test_no_watchdog_no_wake_up(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    watchdog = Watchdog()
    watchdog.step(100.0, is_alive=True)
    assert watchdog.due() == 0.0


def test_a_manager_that_does_not_read_blocks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "NOTIFY_SECONDS", 0.01)
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unread:
        unread.bind(address)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        # The kernel's queue has space for net.unix.max_dgram_qlen datagrams, at most 512 by default.
        for _ in range(10_000):
            notify("WATCHDOG=1")
            if caplog.records:
                break
    assert "cannot notify systemd of WATCHDOG=1: timed out" in caplog.text


def test_the_time_that_systemd_waits_longer() -> None:
    assert format_extension(25.0) == "EXTEND_TIMEOUT_USEC=25000000"
    assert format_extension(0.0) == ""
