"""A server in the conditions of a strict container: nothing can be written, and the user has neither name nor home."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import Server

# The mounts are those of this process alone. The directories of the tests are below /tmp, so the server starts in /.
SCRIPT = """
for directory in /tmp /var/tmp /dev/shm; do
    mount --bind $directory $directory && mount -o remount,bind,ro $directory || exit 77
done
mount -o remount,bind,ro / 2>/dev/null || mount --bind / / && mount -o remount,bind,ro / || exit 77
cd /
exec setpriv --reuid=$0 --regid=$0 --clear-groups --bounding-set=-all --no-new-privs \
    env -i PYTHONPATH="$PYTHONPATH" PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 \
    LD_PRELOAD="$LD_PRELOAD" ASAN_OPTIONS="$ASAN_OPTIONS" "$@"
"""


def _user() -> str:
    """Returns a user without an entry in passwd; root without capabilities if the interpreter is root's alone."""
    python = Path(sys.executable).resolve()
    return "54321" if all(each.stat().st_mode & 1 for each in (python, *python.parents)) else "0"


LAUNCHER = ("unshare", "--mount", "--propagation=private", "sh", "-c", SCRIPT, _user())


def _can_mount() -> bool:
    if os.geteuid() or not shutil.which("unshare") or not shutil.which("setpriv"):
        return False
    return subprocess.run([*LAUNCHER, "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not _can_mount(), reason="only root can make such a container")


def test_large_bodies_are_kept_in_memory_if_nothing_can_be_written(start_server: Callable[..., Server]) -> None:
    server = start_server(
        *("--workers", "2", "--request-buffer", "1000", "--max-request-body-size", "0"),
        app="wsgi_apps:app",
        launcher=LAUNCHER,
    )
    assert server.log.text.count("no directory for temporary files can be written") == 1
    body = os.urandom(100_000)
    with server.connect() as client:
        assert client.post("/echo", body).body == body
        response = client.post("/size", bytes(65 << 20))
        assert response.status == 503
    server.log.wait_for("The request bodies in memory have reached 67108864 bytes")
