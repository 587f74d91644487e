"""Where a server listens: TCP of both kinds, Unix sockets, descriptors that it was given."""

import json
import socket
import stat
from ast import literal_eval
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import Client, Server


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


@pytest.mark.usefixtures("folder")
def test_half_close_of_a_unix_socket(start_server: Callable[..., Server]) -> None:
    server = start_server(bind=["unix:app.sock"])
    with server.connect() as client:
        client.request("/leave")
        client.finish()
        assert client.response().body == b"farewell\n"
        assert client.nothing()


@pytest.mark.usefixtures("folder")
def test_client_of_a_unix_socket_leaves(start_server: Callable[..., Server]) -> None:
    server = start_server(bind=["unix:app.sock"])
    for path in ("/leave", "/events", "/flood"):
        mark = server.log.mark()
        with server.connect() as client:
            client.request(path)
            if path == "/leave":
                server.said("waiting", mark)
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
    """As systemd and supervisors hand sockets on: the one who opened it keeps it."""
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
