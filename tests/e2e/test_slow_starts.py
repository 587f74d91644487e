"""An application that does not finish its start: the log has the line where it is, and a change takes its place."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import WAIT_SECONDS, Output, Server, until

HANGING = """
import asyncio, contextlib, time

def wait_for_database():
    time.sleep(3600)

{at_import}

@contextlib.asynccontextmanager
async def pool():
    {in_lifespan}
    yield

async def app(scope, receive, send):
    await receive()
    async with pool():
        await send({{"type": "lifespan.startup.complete"}})
        await receive()
"""

AT_IMPORT = HANGING.format(at_import="wait_for_database()", in_lifespan="pass")
BLOCKED = HANGING.format(at_import="", in_lifespan="wait_for_database()")
AWAITED = HANGING.format(at_import="", in_lifespan="await asyncio.sleep(3600)")
SUBPROCESS = HANGING.format(
    at_import="", in_lifespan="__import__('subprocess').run('exec sleep 20', shell=True, stdout=-1, stderr=-1)"
)
# C code keeps the lock of Python forever, in spite of signals. It waits, so that the other servers have the processor.
LOCKED = """
import ctypes

mutex = ctypes.create_string_buffer(64)
for _ in range(2):
    ctypes.PyDLL(None).pthread_mutex_lock(mutex)
"""

FACTORY = "import time\n\ndef create_app():\n    time.sleep(3600)\n"
WARM = """
import asyncio, time

async def fetch():
    await asyncio.sleep(3600)

async def awaits(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError
    await fetch()

async def blocks(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError
    time.sleep(3600)

def calls(environ, start_response):
    time.sleep(3600)
"""
WARMUP = ("--warmup", "/first", "--timeout-lifespan-startup", "3600")

COMMAND = ("-m", "ianus", "-b", "127.0.0.1:0")
RUN = ("-c", 'import sys; sys.path.insert(0, ""); import ianus; ianus.run("main:app", bind="127.0.0.1:0")')

IN_CALL = r'main.py", line 5, in wait_for_database$'
IN_POOL = r'main.py", line 11, in pool$'

REQUEST = r"running after 1\d s: GET /first"

# Source, command, and the start of the report and its last line of the application.
CASES = {
    "import": (AT_IMPORT, (*COMMAND, "main:app"), r"loading after 1\d s: worker 1", IN_CALL),
    "lock": (LOCKED, (*COMMAND, "main:app"), r"loading after 1\d s: worker 1", r'main.py", line 6, in <module>$'),
    "preload": (AT_IMPORT, (*COMMAND, "--preload", "main:app"), r"loading after 1\d s: template", IN_CALL),
    "blocked": (BLOCKED, (*COMMAND, "main:app"), r"starting after 1\d s: worker 1", IN_CALL),
    "blocked uvloop": (BLOCKED, (*COMMAND, "--loop", "uvloop", "main:app"), r"starting after 1\d s: worker 1", IN_CALL),
    "subprocess": (SUBPROCESS, (*COMMAND, "main:app"), r"starting after 1\d s: worker 1", "in communicate$"),
    "factory": (
        FACTORY,
        (*COMMAND, "--factory", "main:create_app"),
        r"loading after 1\d s: worker 1",
        r'main.py", line 4, in create_app$',
    ),
    "warm-up": (WARM, (*COMMAND, *WARMUP, "main:awaits"), REQUEST, r'main.py", line 5, in fetch$'),
    "warm-up call": (WARM, (*COMMAND, *WARMUP, "main:calls"), REQUEST, r'main.py", line 18, in calls$'),
    "warm-up blocked": (
        WARM,
        (*COMMAND, *WARMUP, "main:blocks"),
        r"starting after 1\d s: worker 1",
        r'main.py", line 15, in blocks$',
    ),
    "awaited": (AWAITED, (*COMMAND, "main:app"), r"starting after 1\d s \(lifespan.startup\): main:app", IN_POOL),
    "awaited run": (AWAITED, RUN, r"starting after 1\d s \(lifespan.startup\): main:app", IN_POOL),
}


@pytest.fixture(scope="module")
def starting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Output]]:
    """The logs of servers for all cases, which start at the same time since each needs ten seconds."""
    processes, logs = [], {}
    for name, (source, command, *_) in CASES.items():
        path = tmp_path_factory.mktemp("app")
        (path / "main.py").write_text(source)
        process = subprocess.Popen([sys.executable, "-P", *command], cwd=path, stderr=subprocess.PIPE)
        assert process.stderr is not None
        processes.append(process)
        logs[name] = Output(process.stderr)
    yield logs
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(WAIT_SECONDS)
    for log in logs.values():
        log.join()


@pytest.mark.parametrize("case", CASES)
def test_a_first_start_that_hangs_is_reported_with_its_stack(starting: dict[str, Output], case: str) -> None:
    """Once, it was silent forever."""
    log = starting[case]
    *_, report, last_line = CASES[case]
    log.wait_for(f"still {report}")
    log.wait_for(last_line)
    assert len(re.findall(r"still .* after 1\d s", log.text)) == 1, log.text


@pytest.fixture
def start(start_server: Callable[..., Server], tmp_path: Path) -> Callable[..., Server]:
    def start(*options: str) -> Server:
        path = tmp_path / "site"
        path.mkdir()
        change(path, "one")
        server = start_server(*options, app="main:app", app_dir=path)
        server.may_lose_workers = True
        return server

    return start


def change(path: Path, text: str) -> None:
    (path / "main.py").write_text(
        "async def app(scope, receive, send):\n"
        '    await send({"type": "http.response.start", "status": 200, "headers": []})\n'
        f'    await send({{"type": "http.response.body", "body": {text.encode()!r}}})\n'
    )


def hang(path: Path) -> None:
    (path / "main.py").write_text(AT_IMPORT)


def test_a_template_that_hangs_at_a_reload_is_ended_and_shown(start: Callable[..., Server], tmp_path: Path) -> None:
    """Once, it was never noticed."""
    server = start("--preload", "--timeout", "1", "--timeout-lifespan-startup", "1")
    hang(tmp_path / "site")
    mark = server.log.mark()
    server.signal(signal.SIGHUP)
    server.log.wait_for(
        r"CRITICAL template is stuck and will be killed: .*: it has not loaded the application within \d+ s$", mark
    )
    server.log.wait_for(r"Python stacks of template .*:$", mark)
    server.log.wait_for(r'File ".*main.py", line 5 in wait_for_database$', mark)
    server.log.wait_for(r"worker failed to start with the new configuration \(killed by SIGABRT\)", mark)
    assert server.get("/").body == b"one"
    change(tmp_path / "site", "two")
    server.signal(signal.SIGHUP)
    until(lambda: server.get("/").body == b"two", "the reload")


@pytest.mark.parametrize("options", [(), ("--preload",), ("--workers", "2")])
def test_a_newer_hangup_overtakes_a_start_that_hangs(
    start: Callable[..., Server], tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Once, it had no effect until the start was killed after 90 s."""
    server = start(*options)
    path = tmp_path / "site"
    (path / "main.py").write_text(f"open({str(path / 'hangs')!r}, 'w').close()\n{AT_IMPORT}")
    server.signal(signal.SIGHUP)
    until((path / "hangs").exists, "the import")
    change(path, "two")
    server.signal(signal.SIGHUP)
    until(lambda: all(server.get("/").body == b"two" for _ in range(10)), "the reload")


def test_a_fixed_file_overtakes_a_start_that_hangs(start: Callable[..., Server], tmp_path: Path) -> None:
    """Once, --reload waited for it forever."""
    server = start("--reload")
    path = tmp_path / "site"
    server.log.wait_for("watching")
    (path / "main.py").write_text(f"open({str(path / 'hangs')!r}, 'w').close()\n{AT_IMPORT}")
    until((path / "hangs").exists, "the import")
    change(path, "two")
    os.utime(path / "main.py")
    until(lambda: server.get("/").body == b"two", "the reload")
