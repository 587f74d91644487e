"""The result of a migration serves as the other server does: each configuration is started with both.

Compared are the facts that users rely on: addresses, requests as the application gets them, numbers of processes and of
concurrent calls, limits, fields of responses, lines of the access log, the pid file, and a stop by SIGTERM.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ianus.migrate.command import migrate, parse_command, split_line
from tests.helpers import WAIT_SECONDS, Address, Client, Response, until

pytestmark = pytest.mark.extended

SITE = Path(__file__).parent / "site" / "site_app.py"


class Case(NamedTuple):
    """A configuration.

    line: the command; {port} is a free one. files: by name, the content of files beside the application.
    sockets: Unix sockets that are served, besides the port. threads: whether concurrent calls are compared.
    workers: processes that load the application, at least. uncompared: facts that differ, and why.
    """

    line: str
    files: tuple[tuple[str, str], ...] = ()
    sockets: tuple[str, ...] = ()
    threads: bool = False
    workers: int = 1
    paths: tuple[str, ...] = ("/", "/a%20b?c=d")
    uncompared: tuple[tuple[str, str], ...] = ()


CONF = """
import os
bind = f"127.0.0.1:{os.environ.get('NO_SUCH_PORT', '{port}')}"
workers = 1 + 1
preload_app = True
raw_env = ["TEST_MARK=conf"]
accesslog = "access.log"
access_log_format = '%(m)s %(U)s %(s)s %(b)s "%({x-mark}i)s"'
max_worker_memory = 150
worker_tmp_dir = "/tmp"
wsgi_app = "site_app:wsgi"
"""

HOOKS = """
workers = 2
def post_fork(server, worker):
    import os
    os.environ["TEST_MARK"] = "hook"
"""

HYPERCORN = """
bind = ["127.0.0.1:{port}", "unix:app.sock"]
accesslog = "-"
include_server_header = false
graceful_timeout = 5
"""

_PEER = (("client", "the peer of a Unix socket has no address; servers show it differently"),)
_LOG = (("log", "the lines have the port of the client, or a prefix of the logger; their number is compared"),)
_DATE = (("date", "Daphne sends no Date"),)

CASES = {
    "gunicorn": Case("gunicorn -b 127.0.0.1:{port} site_app:wsgi", threads=True),
    "gunicorn threads": Case(
        "gunicorn -k gthread --threads 2 --access-logfile - --keep-alive 5 -b 127.0.0.1:{port} site_app:wsgi",
        threads=True,
    ),
    "gunicorn sockets": Case(
        "gunicorn -b 127.0.0.1:{port} -b unix:app.sock -m 007 -p app.pid -n site site_app:wsgi", sockets=("app.sock",)
    ),
    "gunicorn uvicorn": Case(
        "gunicorn -w 2 -k uvicorn_worker.UvicornWorker -b 127.0.0.1:{port} site_app:asgi",
        workers=2,
        uncompared=(*_LOG, ("lines", "Uvicorn's worker writes its own lines, without --access-logfile")),
    ),
    "gunicorn.conf.py": Case("gunicorn", (("gunicorn.conf.py", CONF),), paths=("/", "/a")),
    "gunicorn hooks": Case("gunicorn -c conf.py -b 127.0.0.1:{port} site_app:wsgi", (("conf.py", HOOKS),), workers=2),
    "gunicorn proxy": Case("gunicorn --forwarded-allow-ips * -e TEST_MARK=x -b 127.0.0.1:{port} site_app:wsgi"),
    "gunicorn variable": Case(
        "GUNICORN_CMD_ARGS='-b 127.0.0.1:{port} -w 2' TEST_MARK=y gunicorn -w 1 site_app:wsgi"
    ),
    "gunicorn chdir": Case(
        "gunicorn --chdir src --limit-request-line 100 -b 127.0.0.1:{port} 'inner:create()'",
        (("src/inner.py", "import sys\nsys.path.insert(0, '..')\nfrom site_app import create_wsgi as create\n"),),
        paths=("/", "/" + "a" * 200),
    ),
    "gunicorn limit": Case(
        "gunicorn --max-requests 2 -b 127.0.0.1:{port} site_app:wsgi",
        uncompared=(("loaded", "workers are replaced at other moments"),),
    ),
    "uvicorn": Case("uvicorn site_app:asgi --port {port}", uncompared=_LOG),
    "uvicorn workers": Case(
        "uvicorn site_app:asgi --host 127.0.0.1 --port {port} --workers 2 --no-access-log --no-server-header"
        " --header 'X-Test: 1'",
        workers=2,
        uncompared=(("loaded", "the supervisor of Uvicorn loads the application too"),),
    ),
    "uvicorn socket": Case(
        "uvicorn site_app:asgi --uds app.sock --root-path /api --no-date-header",
        sockets=("app.sock",),
        uncompared=(*_PEER, *_LOG),
    ),
    "uvicorn factory": Case(
        "uvicorn inner:create --factory --app-dir src --port {port} --no-proxy-headers --lifespan off",
        (("src/inner.py", "import sys\nsys.path.insert(0, '.')\nfrom site_app import create_asgi as create\n"),),
        uncompared=_LOG,
    ),
    "uvicorn variables": Case(
        "UVICORN_PORT={port} TEST_MARK=z uvicorn site_app:wsgi --interface wsgi", uncompared=_LOG
    ),
    "granian": Case(
        "granian site_app:asgi --interface asginl --port {port} --access-log"
        " --access-log-fmt '%(method)s %(path)s %(status)d'",
        paths=("/", "/a"),
    ),
    "granian threads": Case(
        "granian site_app:wsgi --interface wsgi --port {port} --blocking-threads 2 --no-ws", threads=True
    ),
    "granian socket": Case(
        "granian site_app:wsgi --interface wsgi --uds app.sock --workers 2 --backpressure 4 --url-path-prefix /api",
        sockets=("app.sock",),
        workers=2,
        paths=("/api/", "/api/a"),
        uncompared=_PEER,
    ),
    "hypercorn": Case("hypercorn site_app:asgi -b 127.0.0.1:{port} --access-logfile -", uncompared=_LOG),
    "hypercorn.toml": Case(
        "hypercorn -c hypercorn.toml site_app:asgi --root-path /api",
        (("hypercorn.toml", HYPERCORN),),
        sockets=("app.sock",),
        uncompared=(*_PEER, *_LOG),
    ),
    "hypercorn wsgi": Case("hypercorn wsgi:site_app:wsgi -b 127.0.0.1:{port} -p app.pid"),
    "daphne": Case("daphne -b 127.0.0.1 -p {port} site_app:asgi", uncompared=(*_LOG, *_DATE)),
    "daphne socket": Case(
        "daphne -u app.sock --access-log access.log --root-path /api -s site site_app:asgi",
        sockets=("app.sock",),
        uncompared=(*_PEER, *_LOG, *_DATE),
    ),
    "daphne proxy": Case("daphne --proxy-headers -v0 -p {port} site_app:asgi", uncompared=_DATE),
    "waitress": Case("waitress-serve --host=127.0.0.1 --port={port} site_app:wsgi", threads=True),
    "waitress proxy": Case(
        "waitress-serve --listen=127.0.0.1:{port} --threads=2 --trusted-proxy=127.0.0.1"
        ' --trusted-proxy-headers="x-forwarded-proto x-forwarded-for" site_app:wsgi',
        threads=True,
    ),
    "waitress prefix": Case(
        "waitress-serve --listen=127.0.0.1:{port} --url-prefix=/app --ident= site_app:wsgi",
        paths=("/app/", "/app/a%20b"),
    ),
    "waitress socket": Case(
        "waitress-serve --unix-socket=app.sock --call --max-request-body-size=100 site_app:create_wsgi",
        sockets=("app.sock",),
        uncompared=_PEER,
    ),
}  # fmt: skip


class Running:
    """A server in a directory. Its standard output and error are the files `output` and `error` there."""

    def __init__(self, program: str, arguments: list[str], directory: Path, environ: dict[str, str]) -> None:
        self.directory = directory
        self.program = program
        with (directory / "output").open("wb") as output, (directory / "error").open("wb") as error:
            self.process = subprocess.Popen(
                [sys.executable, "-m", program, *arguments],
                cwd=directory,
                env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": ""} | environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=error,
            )

    def text(self, name: str) -> str:
        path = self.directory / name
        return path.read_text() if path.exists() else ""

    def loaded(self) -> set[str]:
        """Returns the processes that have loaded the application."""
        return set(self.text("loaded").split())

    def connect(self, address: Address) -> Client:
        """Connects to the server, once it accepts connections."""

        def attempt() -> Client | None:
            assert self.process.poll() is None, self.text("error") + self.text("output")
            try:
                return Client(address)
            except OSError:
                return None

        client = until(attempt, f"{self.program} accepts connections")
        assert client is not None
        return client

    def request(self, address: Address, path: str, *fields: bytes) -> Response:
        with self.connect(address) as client:
            return client.get(path, b"Connection: close", b"User-Agent: test", *fields)


@contextmanager
def running(program: str, arguments: list[str], directory: Path, environ: dict[str, str]) -> Iterator[Running]:
    server = Running(program, arguments, directory, environ)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def set_up(case: Case, directory: Path, port: int) -> str:
    """Writes the files of a case. Returns its line."""
    directory.mkdir(parents=True)
    shutil.copy(SITE, directory)
    for name, content in case.files:
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content.replace("{port}", str(port)))
    return case.line.replace("{port}", str(port))


def facts_of(server: Running, case: Case, port: int) -> dict[str, Any]:
    """Returns the facts that both servers have to share."""
    addresses: list[Address] = [str(server.directory / name) for name in case.sockets]
    if "{port}" in case.line or any("{port}" in content for _, content in case.files):
        addresses.insert(0, ("127.0.0.1", port))
    facts: dict[str, Any] = {"responses": [], "pids": set()}
    for address in addresses:
        for path in case.paths:
            proxied = (b"X-Forwarded-For: 10.9.8.7", b"X-Forwarded-Proto: https", b"X-Mark: m")
            for fields in ((), proxied):
                response = server.request(address, path, *fields)
                shown: dict[str, Any] = {"status": "2xx" if response.status < 300 else "4xx"}
                if response.status == 200:
                    shown |= json.loads(response.body)
                    facts["pids"].add(shown.pop("pid"))
                    shown.pop("calls")
                    names = {name for name, _ in response.headers}
                    shown |= {name: name.encode() in names for name in ("server", "date", "x-test")}
                facts["responses"].append(shown)
    facts["limit"] = post_sizes(server, addresses[0])
    if case.threads:
        facts["calls"] = concurrent_calls(server, addresses[0])
    until(lambda: len(server.loaded()) >= case.workers, "all workers have loaded the application")
    if "--max-requests" in case.line:
        pids = facts["pids"]
        until(lambda: pids.add(_pid(server, addresses[0])) or len(pids) > 2, "workers are replaced")
    del facts["pids"]
    facts["loaded"] = len(server.loaded())
    facts["pid file"] = server.text("app.pid").strip() == str(server.process.pid)
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(WAIT_SECONDS)
    if server.program == "ianus":
        assert not any((server.directory / name).exists() for name in case.sockets)
    facts["log"] = access_lines(server)
    facts["lines"] = len(facts["log"])
    return facts


def post_sizes(server: Running, address: Address) -> list[int]:
    """Returns the sizes of bodies that the application gets, of those that are sent."""
    accepted = []
    for size in (50, 150):
        with server.connect(address) as client:
            head = b"POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size
            # In one piece: a server may refuse the head, and close before a second one.
            client.send(head + b"x" * size)
            if client.response().status == 200:
                accepted.append(size)
    return accepted


def concurrent_calls(server: Running, address: Address) -> int:
    """Returns the maximum number of calls that an application gets at a time."""

    def hold() -> None:
        server.request(address, "/hold")

    threads = [threading.Thread(target=hold) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    calls: int = json.loads(server.request(address, "/").body)["calls"]
    return calls


def access_lines(server: Running) -> list[str]:
    """Returns the lines about GET requests, without their times and the ports of clients."""
    lines = [line for name in ("output", "error", "access.log") for line in server.text(name).splitlines()]
    found = [line for line in lines if re.search(r"\bGET\b", line) and "rejected request" not in line]
    return sorted(re.sub(r"\[\d+/\w+/[^\]]*\]", "[time]", line) for line in found)


def _pid(server: Running, address: Address) -> int:
    pid: int = json.loads(server.request(address, "/").body)["pid"]
    return pid


@pytest.mark.parametrize("case", [pytest.param(each, id=name) for name, each in CASES.items()])
def test_a_migrated_configuration_serves_alike(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    line = set_up(case, tmp_path / "before" / "site", port)
    command = parse_command(split_line(line))
    program = command.program.removesuffix("-serve")
    extra = ["--no-control-socket"] if program == "gunicorn" else []
    with running(
        program, [*command.arguments, *extra], tmp_path / "before" / "site", dict(command.variables)
    ) as server:
        expected = facts_of(server, case, port)

    set_up(case, tmp_path / "after" / "site", port)
    monkeypatch.chdir(tmp_path / "after" / "site")
    migrated = migrate([line])
    Path("ianus.toml").write_text(migrated)
    Path("gunicorn.conf.py").unlink(missing_ok=True)
    with running("ianus", [], tmp_path / "after" / "site", {}) as server:
        found = facts_of(server, case, port)

    assert "Not valid" not in migrated
    for name, _ in case.uncompared:
        for facts in (expected, found):
            facts.pop(name, None)
            for response in facts["responses"]:
                response.pop(name, None)
    for before, after in zip(expected.pop("responses"), found.pop("responses"), strict=True):
        assert after == before
    assert found == expected
