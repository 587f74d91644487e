"""The servers that are compared, each with the command line that serves it best.

One worker; uvloop and a compiled HTTP parser where the server has them; idle connections kept for longer than
any scenario lasts (their own defaults reach from 2 s to for ever); limits on connections above what a
scenario opens; the access log off, but for the scenario that is about it. No other feature is switched off,
and none that its makers call experimental is switched on.
"""

import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

BENCH = Path(__file__).resolve().parent
REPOSITORY = BENCH.parent
VENV = BENCH / ".venv"
FLOOR = BENCH / "build" / "floor"

Log = Literal["off", "text", "json"]  # the access log


@dataclass(frozen=True)
class Server:
    """One row of every table.

    ``command`` is a template of ``{app}`` (``module:attribute``) and ``{port}``; its first word is a path or
    the name of a command in bench/.venv. ``logs`` has the arguments for each kind of access log that the server has.
    """

    name: str
    command: str
    logs: Mapping[Log, str] = field(default_factory=dict)
    fixed_answer: bool = False
    packages: tuple[Path, ...] = ()  # folders that its interpreter finds modules in besides its own and bench/

    def executable(self) -> str | None:
        """The program's path, or None when it is not there."""
        return shutil.which(shlex.split(self.command)[0], path=str(VENV / "bin"))

    def command_line(self, app: str, port: int, log: Log) -> list[str]:
        """The arguments to start it with; FileNotFoundError when it is not installed."""
        program = self.executable()
        if program is None:
            raise FileNotFoundError(f"{shlex.split(self.command)[0]}: not installed")
        return [program, *shlex.split(f"{self.command} {self.logs.get(log, '')}".format(app=app, port=port))[1:]]

    def environment(self) -> dict[str, str]:
        """What the process sees of ours: little, so that a developer's settings change no result."""
        path = os.pathsep.join(str(folder) for folder in (BENCH, *self.packages))
        return {
            "PATH": os.defpath,
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": path,
        }


WITH_JSON: Mapping[Log, str] = {
    "off": "--no-access-log",
    "text": "--access-log",
    "json": "--access-log --log-format json",
}


def ianus(name: str, program: Path) -> Server:
    """A build of Ianus. It finds uvloop and FastAPI in bench/.venv, so that all servers run the same ones."""
    return Server(
        name,
        f"{shlex.quote(str(program.absolute()))} --bind 127.0.0.1:{{port}} {{app}}",
        logs=WITH_JSON,
        packages=tuple(VENV.glob("lib/python*/site-packages")),
    )


PEERS = (
    Server("floor", f"{shlex.quote(str(FLOOR))} {{port}}", fixed_answer=True),
    Server(
        "h2corn",
        "h2corn {app} --bind 127.0.0.1:{port} --workers 1 --loop uvloop --backlog 4096 --timeout-keep-alive 75",
        logs=WITH_JSON,
    ),
    Server(
        "granian",
        "granian {app} --interface asgi --host 127.0.0.1 --port {port} --workers 1 --loop uvloop --http 1"
        " --runtime-mode st --backlog 16384 --backpressure 16384",
        logs={"off": "--no-access-log", "text": "--access-log"},
    ),
    Server("fastpysgi", f"python {shlex.quote(str(BENCH / 'fastpysgi_server.py'))} {{app}} {{port}}"),
    Server(
        "uvicorn",
        "uvicorn {app} --port {port} --workers 1 --loop uvloop --http httptools --timeout-keep-alive 75",
        logs={"off": "--no-access-log", "text": "--access-log"},
    ),
    Server(
        "socketify",
        "python -m socketify {app} --interface asgi --host 127.0.0.1 --port {port} --workers 1",
    ),
    Server(
        "gunicorn",
        "gunicorn {app} -k asgi --bind 127.0.0.1:{port} --workers 1 --asgi-loop uvloop --http-parser fast"
        " --worker-connections 16384 --keep-alive 75 --no-control-socket",
        logs={"text": "--access-logfile -"},
    ),
    Server(
        "hypercorn",
        "hypercorn {app} --bind 127.0.0.1:{port} --workers 1 --worker-class uvloop --keep-alive 75",
        logs={"text": "--access-logfile -"},
    ),
)
