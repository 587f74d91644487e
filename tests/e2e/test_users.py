"""A server that root has started, whose workers are another user, and folders that this user can write to."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.certificates import Certificate, root
from tests.helpers import WAIT_SECONDS, Server, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

STRANGER = 54321

APP = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})
"""


MODULES = os.pathsep.join(each for each in sys.path if not each.startswith(sys.base_prefix))


@pytest.fixture(scope="module")
def python() -> str:
    """An interpreter that another user can run, with the modules of this one."""
    for each in (sys.executable, f"/usr/bin/python{sys.version_info[0]}.{sys.version_info[1]}"):
        command = ["/bin/sh", "-c", f"exec {each} -P -c 'import ianus.process.serve, ianus.acceptor.reactor'"]
        environ = os.environ | {"PYTHONPATH": MODULES}
        run = subprocess.run(command, env=environ, user=STRANGER, group=STRANGER, cwd="/", stderr=subprocess.DEVNULL)
        if not run.returncode:
            return each
    pytest.skip("Python is installed where others cannot read it")


@pytest.fixture
def folder(python: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of root with an application, and in it `theirs`, which the user can write to."""
    monkeypatch.setattr(sys, "executable", python)
    monkeypatch.setenv("PYTHONPATH", MODULES)
    with tempfile.TemporaryDirectory() as directory:  # pytest's own are closed to others.
        path = Path(directory)
        path.chmod(0o755)
        (path / "main.py").write_text(APP)
        (path / "theirs").mkdir()
        os.chown(path / "theirs", STRANGER, STRANGER)
        yield path


def options(folder: Path) -> list[str]:
    theirs = folder / "theirs"
    logs = ["--error-logfile", str(theirs / "error.log"), "--access-logfile", str(theirs / "access.log")]
    return [*logs, "--pid-file", str(theirs / "app.pid"), "--user", str(STRANGER), "--group", str(STRANGER)]


class Started:
    """A server whose log is a file in the user's folder."""

    def __init__(self, folder: Path) -> None:
        self.theirs = folder / "theirs"
        self.bind = self.theirs / "app.sock"
        command = [sys.executable, "-P", "-m", "ianus", "--app-dir", str(folder), "--bind", f"unix:{self.bind}"]
        self.process = subprocess.Popen([*command, *options(folder), "main:app"], cwd=folder, stderr=subprocess.PIPE)
        self.wait_for(" serves main:app")

    def log(self) -> str:
        path = self.theirs / "error.log"
        return path.read_text() if path.exists() else ""

    def wait_for(self, text: str) -> None:
        until(lambda: text in self.log() or self.process.poll() is not None, text)
        assert text in self.log()

    def get(self) -> bytes:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(WAIT_SECONDS)
            client.connect(str(self.bind))
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: client.recv(65536), b""))

    def stop(self) -> str:
        self.process.send_signal(signal.SIGTERM)
        error = self.process.communicate(timeout=WAIT_SECONDS)[1]
        return error.decode()


@pytest.fixture
def started(folder: Path) -> Iterator[Started]:
    server = Started(folder)
    yield server
    if server.process.poll() is None:
        server.stop()


def test_files_in_the_users_folder_are_the_users(started: Started) -> None:
    assert b"200 OK" in started.get()
    files = {each.name: (each.stat().st_uid, each.stat().st_gid) for each in started.theirs.iterdir()}
    theirs = (STRANGER, STRANGER)
    assert files == {"error.log": theirs, "access.log": theirs, "app.sock": theirs, "app.pid": (0, 0)}
    assert started.stop() == ""
    assert {each.name for each in started.theirs.iterdir()} == {"error.log", "access.log"}


@pytest.mark.parametrize("name", ["error.log", "access.log"])
def test_a_link_in_place_of_a_log_is_not_followed_at_usr1(name: str, started: Started, folder: Path) -> None:
    (started.theirs / name).rename(started.theirs / "before")
    (started.theirs / name).symlink_to(folder / "planted")
    started.process.send_signal(signal.SIGUSR1)
    log = started.theirs / ("before" if name == "error.log" else "error.log")
    until(lambda: f"{name} is a symbolic link, in a folder that other users than root can write to" in log.read_text())
    assert b"200 OK" in started.get()
    assert not (folder / "planted").exists()
    started.process.send_signal(signal.SIGHUP)
    until(lambda: "keeping the current configuration" in log.read_text(), "the refusal of HUP")
    assert b"200 OK" in started.get()
    assert not (folder / "planted").exists()
    (started.theirs / name).unlink()


def test_a_secret_of_root_is_not_given_away_at_usr1(started: Started, folder: Path) -> None:
    secret = started.theirs / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    secret.rename(started.theirs / "access.log")
    started.process.send_signal(signal.SIGUSR1)
    started.wait_for(f"belongs to user 0 and not to user {STRANGER}")
    assert b"200 OK" in started.get()
    assert (started.theirs / "access.log").stat().st_uid == 0
    assert (started.theirs / "access.log").read_text() == "secret"


def test_logs_are_rotated_there(started: Started) -> None:
    for name in ("error.log", "access.log"):
        (started.theirs / name).rename(started.theirs / f"{name}.1")
    started.process.send_signal(signal.SIGUSR1)
    until(lambda: (started.theirs / "access.log").exists(), "a new file")
    until(lambda: started.get() and (started.theirs / "access.log").read_text(), "a line in it")
    assert (started.theirs / "access.log").stat().st_uid == STRANGER
    started.stop()
    assert "stopped" in started.log()


@pytest.mark.parametrize("name", ["error.log", "access.log", "app.pid", "app.sock"])
def test_a_link_there_prevents_the_start(name: str, folder: Path) -> None:
    (folder / "theirs" / name).symlink_to(folder / "planted")
    command = [sys.executable, "-P", "-m", "ianus", "--app-dir", str(folder), "main:app", *options(folder)]
    command += ["--bind", f"unix:{folder / 'theirs' / 'app.sock'}"]
    process = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WAIT_SECONDS)
    assert process.returncode == 3
    expected = "exists and is not a socket" if name == "app.sock" else "is a symbolic link"
    assert process.stderr.startswith("Error: ")
    assert expected in process.stderr
    assert process.stderr.count("\n") == 1
    assert not (folder / "planted").exists()


def test_a_new_server_is_not_started_over_a_link(started: Started, folder: Path) -> None:
    (started.theirs / "access.log").unlink()
    (started.theirs / "access.log").symlink_to(folder / "planted")
    started.process.send_signal(signal.SIGUSR2)
    started.wait_for("; this server continues")
    assert b"200 OK" in started.get()
    assert not (folder / "planted").exists()
    assert "is a symbolic link" in started.stop()


def test_certificates_that_the_workers_must_not_read_are_read_by_the_supervisor(
    folder: Path, start_server: Callable[..., Server]
) -> None:
    (folder / "private").mkdir(mode=0o700)
    (folder / "main.py").write_text(
        f"import ianus.acceptor.tls.certificates as store\nstore.CHECK_SECONDS = 0.0\n{APP}"
    )
    first, second = root().issue("localhost"), root().issue("localhost")
    certificate, key = first.write(folder / "private", "a")
    pair = ["--ssl-certfile", certificate, "--ssl-keyfile", key]
    user = ["--user", str(STRANGER), "--group", str(STRANGER)]
    server = start_server(*user, *pair, app="main:app", app_dir=folder)
    assert isinstance(server.address, tuple)
    address = server.address
    context = ssl.create_default_context(cadata=root().pem.decode())

    def has(expected: Certificate) -> bool:
        with (
            socket.create_connection(address, timeout=WAIT_SECONDS) as sock,
            context.wrap_socket(sock, server_hostname="localhost") as client,
        ):
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
            return client.getpeercert(binary_form=True) == expected.der

    assert has(first)
    for path in (certificate, key):
        Path(path).unlink()
    second.write(folder / "private", "a")
    until(lambda: has(second), "the new certificate")
    log = server.log.text
    assert log.count("certificates have changed, replacing the workers, which must not read the files") == 1
    assert "not reloaded" not in log
