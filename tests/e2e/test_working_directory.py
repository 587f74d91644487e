"""--chdir and --pythonpath: the directory of the application, from the start to an upgrade."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.helpers import WAIT_SECONDS, Client, Server, until

APP = """
import os, pathlib, helper
text = pathlib.Path("text").read_text()  # in the current directory
async def app(scope, receive, send):
    if scope["type"] == "http":
        answer = f"{os.getcwd()} {text} {helper.NAME}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer})
"""


def make_site(path: Path, text: str) -> None:
    (path / "lib").mkdir(parents=True)
    (path / "main.py").write_text(APP)
    (path / "text").write_text(text)
    (path / "lib" / "helper.py").write_text(f"NAME = 'of {text}'\n")


def test_the_directory_of_a_server(start_server: Callable[..., Server], tmp_path: Path) -> None:
    """It holds after a reload with another directory, after one that fails, and after SIGUSR2."""
    make_site(tmp_path / "one", "one")
    make_site(tmp_path / "two", "two")
    (tmp_path / "ianus.toml").write_text('chdir = "one"\n')
    server = start_server(
        *("--pythonpath", "lib", "--access-logfile", "access.log"),
        bind=("127.0.0.1:0", "unix:app.sock"),
        app="main:app",
        app_dir=Path(),
    )
    assert server.get().body.decode() == f"{tmp_path}/one one of one"
    until((tmp_path / "one" / "access.log").read_bytes, "a line in the access log")
    with Client(str(tmp_path / "one" / "app.sock")) as client:
        assert client.get().body.decode() == f"{tmp_path}/one one of one"

    (tmp_path / "ianus.toml").write_text('chdir = "nowhere"\n')
    mark = server.log.mark()
    server.signal(signal.SIGHUP)
    server.log.wait_for(r"reload failed, .*: The directory .*/nowhere cannot be entered \(No such file", mark)
    mark = server.log.mark()
    os.kill(server.pid, signal.SIGKILL)
    server.may_lose_workers = True
    server.log.wait_for("worker started", mark)
    assert server.get().body.decode() == f"{tmp_path}/one one of one"

    (tmp_path / "ianus.toml").write_text('chdir = "two"\n')
    mark = server.log.mark()
    server.signal(signal.SIGHUP)
    server.log.wait_for(", replaces ", mark)
    until(lambda: server.get().body.decode() == f"{tmp_path}/two two of two", "the other directory")

    mark = server.log.mark()
    server.signal(signal.SIGUSR2)
    new = int(server.log.wait_for(r"started the new server \(pid (\d+)\)", mark)[1])
    server.log.wait_for(rf" serves main:app .*, pid {new}$", mark)
    server.signal(signal.SIGTERM)
    assert server.process.wait(WAIT_SECONDS) == 0
    try:
        server.log.wait_for("the previous server exited", mark)
        assert server.get().body.decode() == f"{tmp_path}/two two of two"
    finally:
        os.kill(new, signal.SIGTERM)
        server.wait()
