"""Fewer processes and threads than a server needs (RLIMIT_NPROC): it says so once, in place of a traceback."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import PATIENCE

APPS = {
    "wsgi": 'def app(environ, start_response):\n    start_response("200 OK", [])\n    return []\n',
    "asgi": "async def app(scope, receive, send):\n    raise RuntimeError\n",
}

# A user that has no other process; it may read all files, since the interpreter may be in somebody's home.
USER = "61234"
CAPABILITIES = "+dac_read_search,+dac_override"

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs to run as another user; root is not limited"
)


def run(path: Path, limit: int, *options: str) -> tuple[int, list[str]]:
    """The exit code of a server with so many processes and threads, and the lines that it has written."""
    user = ("setpriv", "--reuid", USER, "--regid", USER, "--clear-groups")
    command = (
        *(*user, "--inh-caps", CAPABILITIES, "--ambient-caps", CAPABILITIES, "prlimit", f"--nproc={limit}"),
        *(sys.executable, "-P", "-m", "ianus", "-b", "127.0.0.1:0", *options, "main:app"),
    )
    ended = subprocess.run(command, cwd=path, capture_output=True, text=True, timeout=PATIENCE)
    return ended.returncode, ended.stderr.splitlines()


@pytest.mark.parametrize(
    ("interface", "limit", "options"),
    [
        *(("wsgi", limit, ()) for limit in (1, 2, 3, 4, 5)),
        *(("asgi", limit, ()) for limit in (1, 2, 3)),
        ("wsgi", 1, ("--preload",)),
        ("wsgi", 2, ("--preload",)),
        ("wsgi", 2, ("--workers", "2")),
    ],
)
def test_too_few_processes_are_said_in_one_message(
    tmp_path: Path, interface: str, limit: int, options: tuple[str, ...]
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "main.py").write_text(APPS[interface])
    code, lines = run(tmp_path, limit, *options)
    assert code == 3, lines
    assert len(lines) == 1, lines
    assert "ulimit -u" in lines[0]


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
        ["unshare", "--mount", "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
    )
    if ended.returncode:
        pytest.skip("mounts are not allowed here")
    assert " serves main:app " in ended.stderr, ended.stderr
    assert "Traceback" not in ended.stderr
