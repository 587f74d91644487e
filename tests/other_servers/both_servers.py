"""gunicorn and Ianus, started alike in a directory, and the facts by which they are compared."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.helpers import WAIT_SECONDS, Address, Client, until


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Running:
    """A server in a directory. Its standard output and error are the files `output` and `error` there."""

    def __init__(self, program: str, arguments: list[str], directory: Path, environ: dict[str, str]) -> None:
        self.program, self.directory = program, directory
        self.is_preloading = "preload_app = True" in "".join(each.read_text() for each in directory.rglob("*.py"))
        extra = ["--no-control-socket"] if program == "gunicorn" else []
        with (directory / "output").open("wb") as output, (directory / "error").open("wb") as error:
            self.process = subprocess.Popen(
                [sys.executable, "-m", program, *arguments, *extra],
                cwd=directory,
                env=os.environ | environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=error,
            )

    def text(self, name: str) -> str:
        """The content of a file of the directory; "" if there is none."""
        path = self.directory / name
        return path.read_text() if path.exists() else ""

    def workers(self) -> set[int]:
        """The processes of the server, without itself and the one that has loaded the application for them."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        is_loaded_once = self.is_preloading and self.program == "ianus"
        return {int(each) for each in children[1 if is_loaded_once else 0 :]}

    def get(self, address: Address, path: str) -> tuple[int, bytes]:
        """Returns the status and the body of a response, once the server accepts connections."""

        def connect() -> Client | None:
            assert self.process.poll() is None, self.text("error")
            try:
                return Client(address)
            except OSError:
                return None

        client = until(connect, f"{self.program} accepts connections")
        assert client is not None
        with client:
            response = client.get(path, b"Connection: close", b"User-Agent: test", b"X-Request-Id: 7")
            return response.status, response.body

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stops the server. Returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(WAIT_SECONDS)


@contextlib.contextmanager
def running(program: str, arguments: list[str], directory: Path, environ: dict[str, str]) -> Iterator[Running]:
    server = Running(program, arguments, directory, environ)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()


def error_lines(text: str) -> list[str]:
    """The lines of a log that show a problem."""
    return re.findall(r"^.*(?:Traceback|ERROR|CRITICAL).*$", text, re.MULTILINE)
