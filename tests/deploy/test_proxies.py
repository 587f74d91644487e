"""nginx, HAProxy and Caddy with the configurations of deploy/, in front of servers with the command lines there."""

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.deploy import files
from tests.deploy.running import free_ports, program, replaced, running, start, status, wait_until_ready
from tests.helpers import Client, until

pytestmark = pytest.mark.conformance

Front = Callable[[Path, contextlib.ExitStack], tuple[str, int]]


def check(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def nginx(folder: Path, stack: contextlib.ExitStack) -> tuple[str, int]:
    (port,) = free_ports(1)
    path = folder / "shop.sock"
    arguments = [argument.replace("/run/shop.sock", str(path)) for argument in files.commands()["service"]]
    stack.enter_context(running(start(arguments, cwd=folder)))
    wait_until_ready(str(path))
    site = replaced(
        files.NGINX.read_text(), {"listen 80;": f"listen 127.0.0.1:{port};", "unix:/run/shop.sock": f"unix:{path}"}
    )
    (folder / "site.conf").write_text(site)
    temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in ("proxy", "fastcgi", "uwsgi", "scgi"))
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; events {{}}"
        f"http {{ access_log off; client_body_temp_path {folder}/body; {temporary} include {folder}/site.conf; }}"
    )
    command = (program("nginx"), "-e", f"{folder}/error.log", "-p", str(folder), "-c", str(configuration))
    check(*command, "-t")
    stack.enter_context(running(subprocess.Popen(command)))
    return "127.0.0.1", port


def servers(place: str, folder: Path, stack: contextlib.ExitStack) -> dict[str, str]:
    """Starts the three servers of a configuration. Returns their addresses there, and those of the test."""
    ports = free_ports(3)
    for port in ports:
        arguments = replaced("\0".join(files.commands()[place]), {"0.0.0.0:8000": f"127.0.0.1:{port}"}).split("\0")
        arguments = [argument.replace("10.0.0.1", "127.0.0.1") for argument in arguments]
        stack.enter_context(running(start(arguments, cwd=folder)))
    for port in ports:
        wait_until_ready(("127.0.0.1", port))
    return {f"10.0.0.{11 + index}:8000": f"127.0.0.1:{port}" for index, port in enumerate(ports)}


def haproxy(folder: Path, stack: contextlib.ExitStack) -> tuple[str, int]:
    (port,) = free_ports(1)
    changes = servers("haproxy.cfg", folder, stack) | {"bind :80": f"bind 127.0.0.1:{port}"}
    configuration = folder / "haproxy.cfg"
    configuration.write_text(replaced(files.HAPROXY.read_text(), changes))
    check(program("haproxy"), "-c", "-f", configuration)
    stack.enter_context(running(subprocess.Popen([program("haproxy"), "-db", "-f", configuration])))
    return "127.0.0.1", port


def caddy(folder: Path, stack: contextlib.ExitStack) -> tuple[str, int]:
    (port,) = free_ports(1)
    changes = servers("Caddyfile", folder, stack) | {"shop.example": f"http://:{port}"}
    configuration = folder / "Caddyfile"
    configuration.write_text(
        "{\n\tadmin off\n\tdefault_bind 127.0.0.1\n}\n" + replaced(files.CADDY.read_text(), changes)
    )
    check(program("caddy"), "validate", "--adapter", "caddyfile", "--config", configuration)
    command = [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(configuration)]
    stack.enter_context(running(subprocess.Popen(command, stderr=subprocess.DEVNULL)))
    return "127.0.0.1", port


FRONTS: dict[str, Front] = {"nginx": nginx, "haproxy": haproxy, "caddy": caddy}


@pytest.fixture(scope="module", params=FRONTS)
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Returns the address of a proxy."""
    with contextlib.ExitStack() as stack:
        address = FRONTS[request.param](tmp_path_factory.mktemp(request.param), stack)
        until(lambda: status(address, "/") == 200, f"{request.param} to find the server")
        yield address


def test_the_application_sees_the_client_and_the_proxys_fields(front: tuple[str, int]) -> None:
    with Client(front) as client:
        response = client.get("/", b"X-Forwarded-Proto: gopher")
        seen = json.loads(response.body)
    assert response.status == 200
    assert seen["client"][0] == "127.0.0.1"
    assert (seen["scheme"], seen["headers"]["x-forwarded-proto"]) == ("http", "http")
    started = float(seen["headers"]["x-request-start"].removeprefix("t="))
    # In seconds, milliseconds or microseconds.
    assert any(1.7e9 < started / unit < 3e9 for unit in (1, 1e3, 1e6))


def test_a_forged_address_is_not_the_clients(front: tuple[str, int]) -> None:
    with Client(front) as client:
        seen = json.loads(client.get("/", b"X-Forwarded-For: 192.0.2.7").body)
    assert seen["client"][0] == "127.0.0.1"


def test_a_websocket_is_passed_on(front: tuple[str, int]) -> None:
    with connect(f"ws://{front[0]}:{front[1]}/", proxy=None) as websocket:
        for message in ("one", "two"):
            websocket.send(message)
            assert websocket.recv() == message


def test_connections_are_kept(front: tuple[str, int]) -> None:
    with Client(front) as client:
        for _ in range(20):
            assert client.get("/").status == 200
