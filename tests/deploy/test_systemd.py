"""The units of deploy/systemd: systemd accepts them, and the service works as systemd would start it."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy import files
from tests.deploy.running import running, start, status
from tests.helpers import WAIT_SECONDS

pytestmark = pytest.mark.conformance

COMMAND = "/srv/shop/.venv/bin/ianus"


def version() -> int:
    found = re.match(r"systemd (\d+)", subprocess.check_output(["systemd-analyze", "--version"], text=True))
    assert found is not None
    return int(found[1])


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """Returns copies of the units with a command that exists here, for the version of systemd that is here."""
    text = files.SERVICE.read_text().replace(COMMAND, sys.executable)
    older = re.search(r"^# Before systemd 253.*: (Type=notify), and (ExecReload=.*)$", text, re.MULTILINE)
    assert older is not None
    if version() < 253:
        text = text.replace("Type=notify-reload\n", f"{older[1]}\n{older[2]}\n")
    service, sock = tmp_path / files.SERVICE.name, tmp_path / files.SOCKET.name
    service.write_text(text)
    sock.write_text(files.SOCKET.read_text())
    return [service, sock]


def test_systemd_accepts_the_units(units: list[Path]) -> None:
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_service_is_exposed_to_little(units: list[Path]) -> None:
    """systemd counts 100 for a service without limits, and the threshold of its own "OK" is 40."""
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", str(units[0])]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


class Manager:
    """systemd, as far as the service sees it: the socket, and the socket for notifications."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.path = str(folder / "shop.sock")
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(self.path)
        listener.listen()
        self._notifications = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self._notifications.bind(str(folder / "notify"))
        self._notifications.settimeout(WAIT_SECONDS)
        arguments = [argument.replace("/run/shop.sock", self.path) for argument in files.commands()["service"]]
        # systemd passes its sockets from number 3 on.
        number = listener.fileno()
        script = f'exec 3<&{number}; LISTEN_PID=$$ WATCHDOG_PID=$$ exec "$@"'
        self.process = stack.enter_context(
            running(
                start(
                    arguments,
                    cwd=folder,
                    wrapper=("bash", "-c", script, "bash"),
                    environment={
                        "LISTEN_FDS": "1",
                        "LISTEN_FDNAMES": "shop.socket",
                        "NOTIFY_SOCKET": str(folder / "notify"),
                        "WATCHDOG_USEC": "1000000",
                    },
                    pass_fds=[number],
                )
            )
        )

    def wait_for(self, line: str) -> str:
        """Returns the notification with a line that starts so."""
        while True:
            text = self._notifications.recv(4096).decode()
            if any(each.startswith(line) for each in text.splitlines()):
                return text


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with contextlib.ExitStack() as stack:
        yield Manager(tmp_path, stack)


def test_the_service_serves_the_socket_and_notifies_systemd(manager: Manager) -> None:
    manager.wait_for("READY=1")
    assert status(manager.path) == status(manager.path, "/") == 200
    manager.wait_for("WATCHDOG=1")
    # Type=notify-reload: systemd sends SIGHUP, and expects the time of it and then READY=1.
    manager.process.send_signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in manager.wait_for("RELOADING=1")
    manager.wait_for("READY=1")
    assert status(manager.path, "/") == 200
    manager.process.terminate()
    manager.wait_for("STOPPING=1")
    assert manager.process.wait(WAIT_SECONDS) == 0
    assert os.path.exists(manager.path), "the socket is systemd's"  # noqa: PTH110
