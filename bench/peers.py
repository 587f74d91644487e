"""The servers that are compared, each with the command line that serves it best.

One worker; uvloop and a compiled HTTP parser where the server has them; idle connections kept for longer than
any scenario lasts (their own defaults reach from 2 s to for ever); limits on connections above what a
scenario opens; the access log off, but for the scenario that is about it. No other feature is switched off,
and none that its makers call experimental is switched on.
"""

import os
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).resolve().parent
REPOSITORY = BENCH.parent
VENV = BENCH / ".venv"
FLOOR = BENCH / "build" / "floor"


@dataclass(frozen=True)
class Server:
    """One row of every table.

    ``command`` is a template of ``{app}`` (``module:attribute``) and ``{port}``; its first word is a path or
    the name of a command in bench/.venv. ``log_on`` is None for a server that has no access log.
    """

    name: str
    command: str
    log_off: str = ""
    log_on: str | None = None
    fixed_answer: bool = False
    packages: tuple[Path, ...] = ()  # folders that its interpreter finds modules in besides its own and bench/

    def executable(self) -> str | None:
        """The program's path, or None when it is not there."""
        return shutil.which(shlex.split(self.command)[0], path=str(VENV / "bin"))

    def command_line(self, app: str, port: int, *, access_log: bool) -> list[str]:
        """The arguments to start it with; FileNotFoundError when it is not installed."""
        program = self.executable()
        if program is None:
            raise FileNotFoundError(f"{shlex.split(self.command)[0]}: not installed")
        log = (self.log_on or "") if access_log else self.log_off
        return [program, *shlex.split(f"{self.command} {log}".format(app=app, port=port))[1:]]

    def environment(self) -> dict[str, str]:
        """What the process sees of ours: little, so that a developer's settings change no result."""
        path = os.pathsep.join(str(folder) for folder in (BENCH, *self.packages))
        return {
            "PATH": os.defpath,
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "PYTHONPATH": path,
        }


def ianus(name: str, program: Path) -> Server:
    """A build of Ianus. It finds uvloop and FastAPI in bench/.venv, so that all servers run the same ones."""
    return Server(
        name,
        f"{shlex.quote(str(program.absolute()))} --bind 127.0.0.1:{{port}} {{app}}",
        log_off="--no-access-log",
        log_on="--access-log",
        packages=tuple(VENV.glob("lib/python*/site-packages")),
    )


PEERS = (
    Server("floor", f"{shlex.quote(str(FLOOR))} {{port}}", fixed_answer=True),
    Server(
        "h2corn",
        "h2corn {app} --bind 127.0.0.1:{port} --workers 1 --loop uvloop --backlog 4096 --timeout-keep-alive 75",
        log_off="--no-access-log",
        log_on="--access-log",
    ),
    Server(
        "granian",
        "granian {app} --interface asgi --host 127.0.0.1 --port {port} --workers 1 --loop uvloop --http 1"
        " --runtime-mode st --backlog 16384 --backpressure 16384",
        log_off="--no-access-log",
        log_on="--access-log",
    ),
    Server("fastpysgi", f"python {shlex.quote(str(BENCH / 'fastpysgi_server.py'))} {{app}} {{port}}"),
    Server(
        "uvicorn",
        "uvicorn {app} --port {port} --workers 1 --loop uvloop --http httptools --timeout-keep-alive 75",
        log_off="--no-access-log",
        log_on="--access-log",
    ),
    Server(
        "socketify",
        "python -m socketify {app} --interface asgi --host 127.0.0.1 --port {port} --workers 1",
    ),
    Server(
        "gunicorn",
        "gunicorn {app} -k asgi --bind 127.0.0.1:{port} --workers 1 --asgi-loop uvloop --http-parser fast"
        " --worker-connections 16384 --keep-alive 75 --no-control-socket",
        log_on="--access-logfile -",
    ),
    Server(
        "hypercorn",
        "hypercorn {app} --bind 127.0.0.1:{port} --workers 1 --worker-class uvloop --keep-alive 75",
        log_on="--access-logfile -",
    ),
)
