"""Folders with the application that a line names, and the outcome of a line of Ianus or of another server."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

DRIVER = Path(__file__).with_name("driver.py")

# The application answers with the facts that it gets.
WSGI = """
import json, os, time
def {name}(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.3)
    facts = {{
        "interface": "wsgi", "root_path": environ["SCRIPT_NAME"], "path": environ["PATH_INFO"],
        "scheme": environ["wsgi.url_scheme"], "client": environ.get("REMOTE_ADDR", ""), "cwd": os.getcwd(),
        "variable": os.environ.get("A", ""), "pid": os.getpid(),
    }}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(facts).encode()]
def {factory}(*arguments):
    return {name}
"""
ASGI = """
import asyncio, json, os
async def {name}(scope, receive, send):
    if scope["type"] == "lifespan":
        assert (await receive())["type"] == "lifespan.startup"
        await send({{"type": "lifespan.startup.complete"}})
        await receive()
        await send({{"type": "lifespan.shutdown.complete"}})
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(0.3)
    facts = {{
        "interface": "asgi", "root_path": scope["root_path"], "path": scope["path"], "scheme": scope["scheme"],
        "client": (scope["client"] or [""])[0], "cwd": os.getcwd(), "variable": os.environ.get("A", ""),
        "loop": type(asyncio.get_running_loop()).__module__.partition(".")[0], "state": "state" in scope,
        "pid": os.getpid(),
    }}
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}})
    await send({{"type": "http.response.body", "body": json.dumps(facts).encode()}})
def {factory}(*arguments):
    return {name}
"""


class Outcome(NamedTuple):
    """The outcome of a line: see driver.py. facts: those that the application got in each request."""

    exit_code: int | None
    output: str
    addresses: list[str]
    responses: list[dict[str, Any]]
    statuses: tuple[int, ...] | list[int] = ()
    idle: float = 0.0

    @property
    def facts(self) -> list[dict[str, Any]]:
        return [json.loads(each["body"]) if each.get("status") == 200 else {} for each in self.responses]

    @property
    def warnings(self) -> list[str]:
        return [line.removeprefix("Warning: ") for line in self.output.splitlines() if line.startswith("Warning: ")]


def make_application(folder: Path, app: str, interface: str) -> None:
    """Writes the module of an application, such as "project.wsgi:application" or "src/main.py:app"."""
    module, _, attribute = app.partition(":")
    attribute = attribute.partition("(")[0] or "application"
    path = folder / (module.removesuffix(".py").replace(".", "/") + ".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    for parent in path.relative_to(folder).parents[:-1]:
        (folder / parent / "__init__.py").touch()
    is_factory = "(" in app
    name, factory = ("app", attribute) if is_factory else (attribute, "create")
    path.write_text((WSGI if interface == "wsgi" else ASGI).format(name=name, factory=factory))


def run_line(
    command: Sequence[str],
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
    requests: Sequence[tuple[str, dict[str, str]]] = (("/a", {}),),
    fd: int = -1,
    concurrent: int = 0,
    idle: bool = False,
) -> Outcome:
    """Runs a line until it has answered, in a network of its own. The parameters are those of driver.py."""
    how = {"seconds": 20, "concurrent": concurrent, "idle": idle}
    task = {"command": list(command), "cwd": str(folder), "env": dict(env or {}), "requests": list(requests), "fd": fd}
    process = subprocess.run(
        ["unshare", "-rn", sys.executable, "-P", str(DRIVER)],
        input=json.dumps(task | how),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return Outcome(**json.loads(process.stdout))


def ianus(line: str, variables: Mapping[str, str]) -> list[str]:
    return [sys.executable, "-P", "-m", "ianus", *split(line, variables)]


def other(line: str, variables: Mapping[str, str]) -> list[str]:
    """Returns the command of another server, as its console script."""
    program, *words = split(line, variables)
    return [os.path.join(os.path.dirname(sys.executable), program), *words]  # noqa: PTH118, PTH120


def split(line: str, variables: Mapping[str, str]) -> list[str]:
    """Splits a line as a shell does, with the values of its variables."""
    for name, value in variables.items():
        line = line.replace(f"${name}", value)
    return shlex.split(line)
