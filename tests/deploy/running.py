"""Servers that are started by the command lines of deploy/, and proxies that run its configurations."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.helpers import WAIT_SECONDS, Address, Client, until

APPS = Path(__file__).parent
# The environment of the tests is not that of a platform.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("IANUS_") and name != "PORT"}


def program(name: str) -> str:
    """Returns the path of a program from the environment of the tests or from the system."""
    places = (Path(sys.executable).parent, "/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin")
    found = shutil.which(name, path=":".join(map(str, places)))
    assert found is not None, f"{name} is not installed"
    return found


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in free]


def replaced(text: str, changes: Mapping[str, str]) -> str:
    """Returns the text with other addresses or times. Each of them has to be in it."""
    for old, new in changes.items():
        assert old in text, f"{old!r} is not in the file"
        text = text.replace(old, new)
    return text


def start(
    arguments: Sequence[str],
    *,
    cwd: Path,
    wrapper: Sequence[str] = (),
    environment: Mapping[str, str] = {},
    pass_fds: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    """Starts the server of the tests with the arguments of a command line, through a wrapper if there is one."""
    return subprocess.Popen(
        [*wrapper, sys.executable, "-P", "-m", "ianus", "--app-dir", str(APPS), *arguments],
        cwd=cwd,
        env={**ENVIRONMENT, **environment},
        stdin=subprocess.DEVNULL,
        pass_fds=pass_fds,
    )


def status(address: Address, path: str = "/up") -> int:
    """Returns the status of a response on a new connection, or 0 if the connection is refused or closed."""
    try:
        with Client(address, timeout=5) as client:
            return client.get(path, b"Connection: close").status
    except (OSError, TimeoutError):
        return 0


def wait_until_ready(address: Address, path: str = "/up") -> None:
    until(lambda: status(address, path) == 200, f"the server at {address}")


@contextlib.contextmanager
def running(process: "subprocess.Popen[bytes]") -> Iterator["subprocess.Popen[bytes]"]:
    """Ends a process at the end, by force if it does not stop."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
