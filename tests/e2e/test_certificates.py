"""Certificates of a server: chosen by name, replaced while it serves, and resumed sessions across its processes."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Certificate, localhost, root
from tests.helpers import WAIT_SECONDS, Server, until

# The files are looked at in each handshake.
APP = """
import os

import ianus.acceptor.tls.certificates

ianus.acceptor.tls.certificates.CHECK_SECONDS = 0.0

async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % os.getpid()})
"""

StartServer = Callable[..., Server]


@pytest.fixture
def start(start_server: StartServer, tmp_path: Path) -> StartServer:
    (tmp_path / "tlsapp.py").write_text(APP)

    def start_app(*options: str, **more: Any) -> Server:
        return start_server(*options, app="tlsapp:app", app_dir=tmp_path, **more)

    return start_app


def pair_options(pair: tuple[str, str]) -> list[str]:
    return ["--ssl-certfile", pair[0], "--ssl-keyfile", pair[1]]


class Client:
    """A connection over TLS. pid: of the worker that has answered the last request."""

    context: ssl.SSLContext | None = None

    def __init__(self, server: Server, name: str = "localhost", session: ssl.SSLSession | None = None) -> None:
        if Client.context is None:
            Client.context = ssl.create_default_context(cadata=root().pem.decode())
        sock = socket.create_connection(server.address, timeout=WAIT_SECONDS)  # type: ignore[arg-type]
        self.sock = Client.context.wrap_socket(sock, server_hostname=name, session=session)
        self.pid = 0

    def get(self) -> None:
        self.sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        text = b""
        while not (body := text.partition(b"\r\n\r\n")[2]):
            more = self.sock.recv(65536)
            assert more, "the connection has ended"
            text += more
        self.pid = int(body.split(b"\r\n")[1] if b"chunked" in text else body)

    def serial(self) -> int:
        """Returns the serial number of the server's certificate."""
        certificate = self.sock.getpeercert()
        assert certificate is not None
        return int(str(certificate["serialNumber"]), 16)

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serial_of(certificate: Certificate) -> int:
    return certificate.certificate.serial_number


def issue(*names: str) -> Certificate:
    return root().issue(*(names or ("localhost",)))


@pytest.mark.parametrize("engine", ["openssl", "python"])
def test_a_replaced_pair_serves_new_connections_and_no_connection_ends(
    start: StartServer, tmp_path: Path, engine: str
) -> None:
    versions = [issue() for _ in range(3)]
    for number, each in enumerate(versions):
        folder = tmp_path / f"..{number}"
        folder.mkdir()
        each.write(folder, "tls")
    (tmp_path / "tls").mkdir()
    (tmp_path / "..data").symlink_to("..0")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / "tls" / name).symlink_to(f"../..data/{name}")
    server = start("--ssl-cert-dir", str(tmp_path / "tls"), "--tls-engine", engine)
    with Client(server) as old:
        old.get()
        worker = old.pid
        assert old.serial() == serial_of(versions[0])
        for number, each in enumerate(versions):
            (tmp_path / "..new").symlink_to(f"..{number}")
            (tmp_path / "..new").replace(tmp_path / "..data")
            with Client(server) as new:
                new.get()
                assert new.serial() == serial_of(each)
                assert new.pid == worker
        old.get()
        # A damaged pair changes nothing.
        broken = tmp_path / "..broken"
        shutil.copytree(tmp_path / "..2", broken)
        (broken / "tls.key").write_text("damaged")
        (tmp_path / "..new").symlink_to("..broken")
        (tmp_path / "..new").replace(tmp_path / "..data")
        for _ in range(3):
            with Client(server) as new:
                new.get()
                assert new.serial() == serial_of(versions[2])
        old.get()
        assert old.pid == worker
    assert server.log.text.count("certificate not reloaded, keeping the previous one: ") == 1


@pytest.mark.extended
@pytest.mark.parametrize("engine", ["openssl", "python"])
def test_a_thousand_replacements_under_load(start: StartServer, tmp_path: Path, engine: str) -> None:
    versions = [issue().write(tmp_path, f"v{number}") for number in range(2)]
    pair = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    for source, target in zip(versions[0], pair, strict=True):
        shutil.copy(source, target)
    server = start(*pair_options(pair), "--workers", "2", "--tls-engine", engine)
    stopping = threading.Event()
    failures: list[BaseException] = []
    counts = [0, 0]

    def request_on_one_connection() -> None:
        try:
            with Client(server) as client:
                while not stopping.is_set():
                    client.get()
                    counts[0] += 1
        except BaseException as error:
            failures.append(error)

    def request_on_new_connections() -> None:
        try:
            while not stopping.is_set():
                with Client(server) as client:
                    client.get()
                    counts[1] += 1
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=each)
        for each in (request_on_one_connection, request_on_one_connection, request_on_new_connections)
    ]
    for thread in threads:
        thread.start()
    workers = server.children()
    for number in range(1000):
        for path, target in zip(versions[number % 2], pair, strict=True):
            new = tmp_path / "new"
            if number % 10 == 9:
                new.write_text("damaged")
            else:
                new.symlink_to(path)
            new.replace(target)
        before = counts[1]
        until(lambda before=before: counts[1] > before or failures, "a handshake")  # type: ignore[misc]
    stopping.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert server.children() == workers
    assert min(counts) > 500


@pytest.mark.parametrize("option", ["", "--preload"])
def test_sessions_are_resumed_by_all_workers_and_after_reloads(start: StartServer, tmp_path: Path, option: str) -> None:
    pair = issue().write(tmp_path, "a")
    server = start(*pair_options(pair), "--workers", "2", "--tls-engine", "openssl", *filter(None, [option]))
    with Client(server) as first:
        first.get()
        session = first.sock.session
    issue().write(tmp_path, "a")
    before = set(server.children())
    mark = server.log.mark()
    server.signal(signal.SIGHUP)
    for _ in range(2):
        server.log.wait_for("worker started", mark)
    workers = set()

    def resume() -> bool:
        with Client(server, session=session) as client:
            client.get()
            assert client.sock.session_reused
            workers.add(client.pid)
        return len(workers - before) == 2

    until(resume, "a resumption in each new worker")


def test_a_server_after_an_upgrade_resumes_sessions(start: StartServer, tmp_path: Path) -> None:
    pair = issue().write(tmp_path, "a")
    server = start(*pair_options(pair), "--tls-engine", "openssl")
    with Client(server) as first:
        first.get()
        session = first.sock.session
    mark = server.log.mark()
    server.signal(signal.SIGUSR2)
    successor = int(server.log.wait_for(r"started the new server \(pid (\d+)\)", mark)[1])
    server.log.wait_for(r"Ianus .* serves", mark)
    secret = Path(f"/proc/{successor}/environ").read_bytes()
    assert b'"tickets": ' in secret, "only the number of a pipe"
    try:

        def resume() -> bool:
            with Client(server, session=session) as client:
                client.get()
                assert client.sock.session_reused
                return client.pid != first.pid

        until(resume, "a resumption in the new server")
    finally:
        os.kill(successor, signal.SIGTERM)
        server.log.wait_for("the new server exited|stopped", mark)


@pytest.mark.extended
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_every_connection_resumes_its_session(
    start: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: ssl.TLSVersion
) -> None:
    """By each of four workers, after a change of the certificate, a reload and an upgrade of the server."""
    context = ssl.create_default_context(cadata=root().pem.decode())
    context.maximum_version = version
    monkeypatch.setattr(Client, "context", context)
    pair = issue().write(tmp_path, "a")
    server = start(*pair_options(pair), "--workers", "4", "--tls-engine", "openssl")
    with Client(server) as first:
        first.get()
        session = first.sock.session
    resumed = 0

    def resume_in_each_worker(before: set[int]) -> set[int]:
        workers: set[int] = set()

        def resume() -> bool:
            nonlocal resumed
            with Client(server, session=session) as client:
                client.get()
                assert client.sock.session_reused
                resumed += 1
                workers.add(client.pid)
            return len(workers - before) == 4

        until(resume, "a resumption in each worker")
        return workers | before

    workers = resume_in_each_worker(set())
    renewed = issue()
    renewed.write(tmp_path, "a")
    with Client(server) as client:
        assert client.serial() == serial_of(renewed)
    resume_in_each_worker(set())
    mark = server.log.mark()
    server.signal(signal.SIGHUP)
    for _ in range(4):
        server.log.wait_for("replaces pid", mark)
    workers = resume_in_each_worker(workers)
    mark = server.log.mark()
    server.signal(signal.SIGUSR2)
    successor = int(server.log.wait_for(r"started the new server \(pid (\d+)\)", mark)[1])
    server.log.wait_for(r"Ianus .* serves", mark)
    try:
        resume_in_each_worker(workers)
    finally:
        os.kill(successor, signal.SIGTERM)
        server.log.wait_for("the new server exited|stopped", mark)
    assert resumed >= 16


def test_a_reload_with_a_broken_pair_keeps_the_workers(start: StartServer, tmp_path: Path) -> None:
    certificate, key = issue().write(tmp_path, "a")
    server = start(*pair_options((certificate, key)))
    (worker,) = server.children()
    Path(key).write_text("damaged")
    server.signal(signal.SIGHUP)
    server.log.wait_for("worker failed to start with the new configuration")
    assert f"{key} has no private key in PEM form" in server.log.text
    with Client(server) as client:
        client.get()
        assert client.pid == worker


def test_a_worker_that_crashes_is_replaced_by_one_with_the_previous_pair(start: StartServer, tmp_path: Path) -> None:
    certificate, key = issue().write(tmp_path, "a")
    server = start(*pair_options((certificate, key)))
    server.may_lose_workers = True
    (worker,) = server.children()
    Path(key).write_text("damaged")
    mark = server.log.mark()
    os.kill(worker, signal.SIGKILL)
    server.log.wait_for("worker started", mark)
    with Client(server) as client:
        client.get()
        assert client.pid != worker


def test_preloaded_workers_have_tls_at_its_addresses_alone(start: StartServer, tmp_path: Path) -> None:
    pair = issue().write(tmp_path, "a")
    server = start(*pair_options(pair), "--preload", "--insecure-bind", "127.0.0.1:0")
    with Client(server) as client:
        client.get()
    with socket.create_connection(server.addresses[1], timeout=WAIT_SECONDS) as sock:  # type: ignore[arg-type]
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")


# --- Starts ---


def run(folder: Path, *options: str, password: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs --check-config, or a start that fails."""
    (folder / "tlsapp.py").write_text(APP)
    command = [sys.executable, "-P", "-m", "ianus", "tlsapp:app", "--app-dir", str(folder), "--bind", "127.0.0.1:0"]
    environ = os.environ | ({"IANUS_SSL_KEYFILE_PASSWORD": password} if password else {})
    return subprocess.run(
        [*command, *options, *(["--check-config"] if check else [])],
        capture_output=True,
        text=True,
        env=environ,
        timeout=WAIT_SECONDS,
    )


@pytest.mark.parametrize("engine", ["openssl", "python"])
@pytest.mark.parametrize(
    ("password", "given", "expected"),
    [
        (b"Sesame-17", "", "is encrypted. Give its password in --ssl-keyfile-password"),
        (b"Sesame-17", "wrong", "The password of --ssl-keyfile-password does not decrypt the key in"),
        (b"Sesame-17", "Sesame-17", ""),
        (None, "not needed", ""),
    ],
)
def test_passwords_of_keys(tmp_path: Path, engine: str, password: bytes | None, given: str, expected: str) -> None:
    pair = localhost().write(tmp_path, "a", password)
    result = run(tmp_path, *pair_options(pair), "--tls-engine", engine, password=given)
    assert result.returncode == (3 if expected else 0), result.stderr
    assert expected in result.stderr
    assert "Sesame-17" not in result.stderr + result.stdout


@pytest.mark.parametrize("engine", ["openssl", "python"])
def test_a_key_of_another_certificate(tmp_path: Path, engine: str) -> None:
    certificate, _ = localhost().write(tmp_path, "a")
    _, key = issue().write(tmp_path, "b")
    result = run(tmp_path, *pair_options((certificate, key)), "--tls-engine", engine, check=False)
    assert result.returncode == 3
    assert f"The key in {key} does not belong to the certificate in {certificate}." in result.stderr
    assert "(ianus docs tls)" in result.stderr


@pytest.mark.parametrize("engine", ["openssl", "python"])
def test_ciphers_that_openssl_does_not_know(tmp_path: Path, engine: str) -> None:
    pair = localhost().write(tmp_path, "a")
    result = run(tmp_path, *pair_options(pair), "--tls-engine", engine, "--ssl-ciphers", "NONE-SUCH")
    assert result.returncode == 3
    assert "--ssl-ciphers is not accepted by OpenSSL: " in result.stderr
