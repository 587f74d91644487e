"""Listening addresses: TCP over IPv4 and IPv6, Unix sockets, inherited descriptors."""

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import tempfile
from ast import literal_eval
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import WAIT_SECONDS, Client, Server, accepts, until


def scope_of(client: Client) -> dict[str, Any]:
    return {name: literal_eval(value) for name, value in json.loads(client.get("/scope").body).items()}


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the server is ours, too, so that the path of a socket is short."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_unix_socket(start_server: Callable[..., Server], folder: Path) -> None:
    server = start_server("--uds-permissions", "660", bind=["unix:app.sock"])
    path = folder / "app.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    with server.connect() as client:
        scope = scope_of(client)
        assert scope["client"] is None
        assert list(scope["server"]) == ["app.sock", None]
        assert client.post("/echo", b"x" * 1_000_000).body == b"x" * 1_000_000
        client.send(b"nonsense\r\n\r\n")
        assert client.response().status == 400
        assert client.nothing()
    server.stop()
    assert not path.exists()
    assert server.output is not None
    assert "- - - [" in server.output.text
    # Folders above may be closed, as those that pytest makes.
    assert re.search(r"unix:app.sock: only .* can connect \(permissions 660\); ", server.log.text)


@pytest.mark.parametrize(
    ("options", "expected"), [((), 0o666), (("--umask", "007"), 0o660), (("--uds-permissions", "777"), 0o777)]
)
def test_permissions_of_a_unix_socket_do_not_depend_on_the_user(
    options: tuple[str, ...], expected: int, start_server: Callable[..., Server], folder: Path
) -> None:
    before = os.umask(0o077)
    try:
        start_server(*options, bind=["unix:app.sock"])
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "app.sock").stat().st_mode) == expected


NGINX = """
daemon off;
master_process on;
user {user};
error_log stderr;
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log off;
    server {{
        listen unix:{folder}/nginx.sock;
        location / {{ proxy_pass http://unix:{folder}/app.sock; }}
    }}
}}
"""


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("nginx") is None, reason="nginx changes its user as root alone")
def test_nginx_as_its_own_user_reaches_a_unix_socket(start_server: Callable[..., Server]) -> None:
    with tempfile.TemporaryDirectory() as directory:  # pytest's own are closed to others.
        folder = Path(directory)
        folder.chmod(0o755)
        server = start_server(bind=[f"unix:{folder}/app.sock"])
        (folder / "nginx.conf").write_text(NGINX.format(user="nobody nogroup", folder=folder))
        nginx = subprocess.Popen(["nginx", "-c", folder / "nginx.conf", "-p", folder], stderr=subprocess.PIPE)
        try:
            until(lambda: accepts(folder / "nginx.sock"), "nginx")
            with Client(str(folder / "nginx.sock")) as client:
                assert client.get("/hello").status == 200
            assert "can connect" not in server.log.text
        finally:
            nginx.terminate()
            nginx.communicate(timeout=WAIT_SECONDS)


def test_a_folder_that_is_closed_to_the_proxy_is_logged(start_server: Callable[..., Server], folder: Path) -> None:
    (folder / "run").mkdir(mode=0o750)
    server = start_server(bind=["unix:run/app.sock"])
    server.log.wait_for(rf"unix:run/app.sock: only .* can connect; for others, chmod o\+x {folder}/run ")


@pytest.mark.usefixtures("folder")
def test_half_close_of_a_unix_socket(start_server: Callable[..., Server]) -> None:
    server = start_server(bind=["unix:app.sock"])
    with server.connect() as client:
        client.request("/leave")
        client.finish()
        assert client.response().body == b"farewell\n"
        assert client.nothing()


@pytest.mark.usefixtures("folder")
def test_client_of_a_unix_socket_disconnects(start_server: Callable[..., Server]) -> None:
    server = start_server(bind=["unix:app.sock"])
    for path in ("/leave", "/events", "/flood"):
        mark = server.log.mark()
        with server.connect() as client:
            client.request(path)
            if path == "/leave":
                server.app_log("waiting", mark)
            else:
                client.head()
        server.log.wait_for("^app: (left|events closed|flood ended)", mark)
    assert "Traceback" not in server.log.text


@needs_ipv6
def test_ipv6(start_server: Callable[..., Server]) -> None:
    server = start_server(bind=["[::1]:0"])
    with server.connect() as client:
        scope = scope_of(client)
        assert tuple(scope["client"]) == client.sock.getsockname()[:2]
        assert tuple(scope["server"]) == server.address
    server.stop()
    assert server.output is not None
    assert server.output.text.startswith("::1 - - [")


def reach(host: str, port: int) -> tuple[dict[str, Any], str]:
    """The scope of a request to this address, and the address that the client had."""
    with Client((host, port)) as client:
        return scope_of(client), client.sock.getsockname()[0]


@needs_ipv6
@pytest.mark.parametrize("workers", ["1", "3"])
def test_ipv6_of_every_interface_takes_ipv4_too(workers: str, start_server: Callable[..., Server]) -> None:
    server = start_server("--workers", workers, bind=["[::]:0"])
    port = server.address[1]
    for host in ("127.0.0.1", "::1"):
        for _ in range(5):
            scope, own = reach(host, int(port))
            assert (scope["client"][0], own) == (host, host)
            assert tuple(scope["server"]) == (host, int(port))
    server.stop()
    assert server.output is not None
    # Each worker writes its own lines.
    assert sum(line.startswith("127.0.0.1 - - [") for line in server.output.text.splitlines()) == 5


def free_port() -> int:
    """A port that was free this moment on every interface."""
    with socket.socket(socket.AF_INET6) as sock:
        sock.bind(("::", 0))
        port: int = sock.getsockname()[1]
        return port


@needs_ipv6
@pytest.mark.parametrize("hosts", [("[::]", "0.0.0.0"), ("0.0.0.0", "[::]"), ("127.0.0.1", "[::]")])
def test_both_families_may_be_bound_by_themselves(hosts: tuple[str, str], start_server: Callable[..., Server]) -> None:
    port = free_port()
    server = start_server("--workers", "2", bind=[f"{host}:{port}" for host in hosts])
    assert len(server.addresses) == 2
    for host in ("127.0.0.1", "::1"):
        assert reach(host, port)[0]["client"][0] == host


@pytest.mark.usefixtures("folder")
def test_several_addresses(start_server: Callable[..., Server]) -> None:
    server = start_server(bind=["127.0.0.1:0", "unix:app.sock", "127.0.0.1:0"])
    first, path, second = server.addresses
    assert first != second
    assert path == "app.sock"
    for address in server.addresses:
        with Client(address) as client:
            assert client.get().body == b"hello\n"


def test_inherited_descriptor(start_server: Callable[..., Server]) -> None:
    """As with sockets of systemd and supervisors: the process that opened the socket keeps it."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = start_server(bind=[f"fd://{sock.fileno()}"], pass_fds=[sock.fileno()])
        with Client(sock.getsockname()) as client:
            assert tuple(scope_of(client)["server"]) == sock.getsockname()
        server.stop()
        with Client(sock.getsockname()):
            pass  # it still listens


@pytest.mark.usefixtures("folder")
def test_inherited_unix_descriptor(start_server: Callable[..., Server]) -> None:
    path = "given.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen()
        server = start_server(bind=[f"fd://{sock.fileno()}"], pass_fds=[sock.fileno()])
        with Client(path) as client:
            assert client.get().body == b"hello\n"
        server.stop()
        assert Path(path).exists()
