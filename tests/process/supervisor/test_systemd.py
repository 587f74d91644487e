"""Notifications to systemd."""

import logging
import socket
import uuid
from pathlib import Path

import pytest

from ianus.process.supervisor.systemd import notify


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
