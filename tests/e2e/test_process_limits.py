"""Fewer processes and threads than a server needs (RLIMIT_NPROC): one message in place of a traceback."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import WAIT_SECONDS, until

APPS = {
    "wsgi": 'def app(environ, start_response):\n    start_response("200 OK", [])\n    return []\n',
    "asgi": "async def app(scope, receive, send):\n    raise RuntimeError\n",
}

# A user that has no other process; it may read all files, since the interpreter may be in a home directory.
USER = "61234"
CAPABILITIES = "+dac_read_search,+dac_override"

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs to run as another user; root is not limited"
)


def run(path: Path, limit: int, *options: str, app: str = "main:app") -> tuple[int, list[str]]:
    """Returns the exit code of a server with a limit of processes and threads, and its lines."""
    user = ("setpriv", "--reuid", USER, "--regid", USER, "--clear-groups")
    command = (
        *(*user, "--inh-caps", CAPABILITIES, "--ambient-caps", CAPABILITIES, "prlimit", f"--nproc={limit}"),
        *(sys.executable, "-P", "-m", "ianus", "-b", "127.0.0.1:0", *options, app),
    )
    ended = subprocess.run(command, cwd=path, capture_output=True, text=True, timeout=WAIT_SECONDS)
    return ended.returncode, ended.stderr.splitlines()


@pytest.mark.parametrize(
    ("interface", "limit", "options"),
    [
        *(("wsgi", limit, ()) for limit in (1, 2, 3, 4, 5)),
        *(("asgi", limit, ()) for limit in (1, 2, 3)),
        ("wsgi", 1, ("--preload",)),
        ("wsgi", 2, ("--preload",)),
        ("wsgi", 2, ("--workers", "2")),
        *(("wsgi", limit, ("--workers", "3", "--preload")) for limit in (3, 4)),
    ],
)
def test_too_few_processes_are_reported_in_one_message(
    tmp_path: Path, interface: str, limit: int, options: tuple[str, ...]
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "main.py").write_text(APPS[interface])
    code, lines = run(tmp_path, limit, *options)
    assert code == 3, lines
    assert len(lines) == 1, lines
    assert "ulimit -u" in lines[0]


THREADS_AT_START = """
import threading
from starlette.applications import Starlette

def start_threads():
    for _ in range(10):
        threading.Thread(target=threading.Event().wait, daemon=True).start()

async def plain(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        start_threads()

async def starlette(scope, receive, send):
    await Starlette(lifespan=lifespan)(scope, receive, send)

import contextlib

@contextlib.asynccontextmanager
async def lifespan(app):
    start_threads()
    yield
"""


@pytest.mark.parametrize("options", [("--preload",), ()])
@pytest.mark.parametrize("limit", [8, *(pytest.param(limit, marks=pytest.mark.extended) for limit in (9, 10)), 12])
def test_workers_that_cannot_start_for_a_limit_do_not_repeat_it(
    tmp_path: Path, limit: int, options: tuple[str, ...]
) -> None:
    """Some lack a thread, and some cannot be forked: one message of each kind at most."""
    tmp_path.chmod(0o755)
    (tmp_path / "main.py").write_text(APPS["wsgi"])
    code, lines = run(tmp_path, limit, "--workers", "3", *options)
    assert code == 3, lines
    assert 1 <= len(lines) <= 2, lines
    assert sum("gives no thread" in line for line in lines) <= 1
    assert all("ulimit -u" in line for line in lines)


@pytest.mark.parametrize("app", ["plain", "starlette"])
def test_a_lifespan_that_gets_no_thread_ends_the_start_with_the_limits_name(tmp_path: Path, app: str) -> None:
    """Once, the server continued without lifespan, or did not name the limit."""
    tmp_path.chmod(0o755)
    (tmp_path / "main.py").write_text(THREADS_AT_START)
    code, lines = run(tmp_path, 8, app=f"main:{app}")
    assert code == 3, lines
    assert lines[-1].startswith(f"Error: The system gives no thread (main:{app} failed"), lines
    assert "ulimit -u" in lines[-1]
    assert sum("Error: The" in line for line in lines) == 1


PIDS = Path("/sys/fs/cgroup/pids")


@pytest.mark.parametrize(
    ("limit", "options"),
    [
        *((limit, ()) for limit in (2, 3)),
        *((limit, ("--preload",)) for limit in (2, 3, 4)),
        *((limit, ("--preload", "--workers", "3")) for limit in (3, 4, 5)),
    ],
)
def test_too_few_processes_of_a_container_are_reported_in_one_message(
    tmp_path: Path, limit: int, options: tuple[str, ...]
) -> None:
    """A pids cgroup limits root, too."""
    group = PIDS / f"ianus-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "pids.max").write_text(str(limit))
    except OSError:
        pytest.skip("no pids cgroup (version 1) can be made here")
    (tmp_path / "main.py").write_text(APPS["wsgi"])
    script = f'echo $$ > {group}/cgroup.procs && exec "$@"'
    command = ("sh", "-c", script, "sh", sys.executable, "-P", "-m", "ianus", "-b", "127.0.0.1:0", *options, "main:app")
    try:
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=WAIT_SECONDS)
    finally:
        until(lambda: not (group / "cgroup.procs").read_text(), "the end of all processes")
        group.rmdir()
    lines = ended.stderr.splitlines()
    assert ended.returncode == 3, lines
    assert len(lines) == 1, lines
    assert "pids limit" in lines[0]


@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="AddressSanitizer reads /proc")
def test_preload_without_proc_serves(tmp_path: Path) -> None:
    """Once, the list of the template's threads was a traceback."""
    (tmp_path / "main.py").write_text(APPS["wsgi"])
    script = (
        "mount -t tmpfs none /proc || exit 77; "
        f'timeout 20 "{sys.executable}" -P -m ianus -b 127.0.0.1:0 --preload main:app 2>log & server=$!; '
        "for turn in $(seq 190); do grep -q ' serves ' log && break; sleep 0.1; done; "
        "kill $server; wait; cat log >&2; exit 0"
    )
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=WAIT_SECONDS
    )
    if ended.returncode:
        pytest.skip("mounts are not allowed here")
    assert " serves main:app " in ended.stderr, ended.stderr
    assert "Traceback" not in ended.stderr
