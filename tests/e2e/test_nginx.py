"""nginx in front of the server, configured as people configure it."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.e2e.test_extensions import hint
from tests.e2e.test_responses import body, played, start
from tests.helpers import Client, Server, until

CONFIGURATION = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://127.0.0.1:{upstream}; {proxy} }}
    }}
}}
"""


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Callable[[Server, str], tuple[str, int]]]:
    """nginx(server, lines): the address of an nginx that passes everything on to this server."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if program is None:
        pytest.skip("nginx is not installed")
    running: list[subprocess.Popen[bytes]] = []

    def run(server: Server, lines: str = "") -> tuple[str, int]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        path = tmp_path / "nginx.conf"
        path.write_text(
            CONFIGURATION.format(folder=tmp_path, port=port, upstream=server.address[1], proxy=lines), encoding="ascii"
        )
        running.append(subprocess.Popen([program, "-p", tmp_path, "-c", path], stderr=subprocess.DEVNULL))

        def answers() -> bool:
            assert running[-1].poll() is None, (tmp_path / "error.log").read_text()
            try:
                socket.create_connection(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                return False
            return True

        until(answers, "nginx accepts connections")
        return "127.0.0.1", port

    yield run
    for process in running:
        process.terminate()
        process.wait()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("app", ["apps:app", "wsgi_apps:app"])
def test_an_application_that_gives_early_hints_answers(
    shared: Callable[..., Server], nginx: Callable[..., tuple[str, int]], app: str, version: str
) -> None:
    path = "/hints" if app == "wsgi_apps:app" else played(hint(b"</a.css>; rel=preload"), start(), body(b"text"))
    with Client(nginx(shared(app=app), f"proxy_http_version {version};")) as client:
        response = client.get(path)
        assert (response.status, response.body) == (200, b"not hinted\n" if app == "wsgi_apps:app" else b"text")


UPGRADE = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"


def test_a_websocket_through_nginx(shared: Callable[..., Server], nginx: Callable[..., tuple[str, int]]) -> None:
    host, port = nginx(shared(app="websocket_apps:app"), f"proxy_http_version 1.1; {UPGRADE}")
    with connect(f"ws://{host}:{port}/echo", proxy=None) as client:
        client.send("hello")
        assert client.recv() == "hello"


@pytest.mark.parametrize("lines", ["proxy_http_version 1.0;", f"proxy_http_version 1.0; {UPGRADE}"])
def test_a_websocket_through_nginx_without_http_1_1_names_the_setting(
    shared: Callable[..., Server], nginx: Callable[..., tuple[str, int]], lines: str
) -> None:
    """nginx before 1.29 uses 1.0 by default."""
    server = shared(app="websocket_apps:app")
    mark = server.log.mark()
    host, port = nginx(server, lines)
    with pytest.raises(InvalidStatus) as caught, connect(f"ws://{host}:{port}/echo?nginx", proxy=None):
        pass
    assert caught.value.response.status_code == 400
    assert b"HTTP/1.0" in (caught.value.response.body or b"")
    server.log.wait_for(r" WARNING WebSocket .*proxy_http_version 1\.1.*: GET /echo\?nginx$", mark)
