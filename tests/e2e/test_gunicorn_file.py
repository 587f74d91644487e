"""gunicorn.conf.py in the directory of the server: hooks around requests, a reload, mistakes in the file."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.helpers import Server, until

HOOKS = """
def on_reload(server):
    server.log.info("hook on_reload %s", server.cfg.timeout)

def post_fork(server, worker):
    worker.log.info("hook post_fork %s %s", server.cfg.timeout, worker.cfg.bind)

def pre_request(worker, req):
    req.mark = "mark"

def post_request(worker, req, environ, resp):
    worker.log.info("hook post_request %s %s %s %s", req.mark, req.method, req.path, resp.status)

def worker_int(worker):
    worker.log.info("hook worker_int")
"""


def test_hooks_and_a_reload(start_server: Callable[..., Server], tmp_path: Path) -> None:
    path = tmp_path / "gunicorn.conf.py"
    path.write_text("workers = 1\ntimeout = 77\nworker_tmp_dir = '/dev/shm'\n" + HOOKS)
    server = start_server(app="wsgi_apps:app")
    warning = "gunicorn.conf.py has settings without effect: worker_tmp_dir (no files are used to watch workers)."
    assert server.log.text.count(warning) == 1
    server.log.wait_for(r"INFO hook post_fork 77\.0 \['127\.0\.0\.1:0'\]")
    assert server.get("/hello?a=b").status == 200
    server.log.wait_for("INFO hook post_request mark GET /hello 200 OK")
    assert server.get("/stream").status == 200  # its iterable is not a list
    server.log.wait_for("INFO hook post_request mark GET /stream 200 OK")

    # A file that fails changes nothing; its traceback names the line.
    mark = server.log.mark()
    path.write_text("workers = 2\n1 / 0\n")
    server.signal(signal.SIGHUP)
    server.log.wait_for("reload failed, keeping the current configuration: The configuration gunicorn.conf.py", mark)
    assert len(server.children()) == 1
    before = server.pid
    path.write_text("workers = 2\ntimeout = 88\n" + HOOKS)
    server.signal(signal.SIGHUP)
    until(lambda: len(server.children()) == 2 and before not in server.children(), "two new workers")
    until(lambda: server.log.text.count("hook post_fork 88.0") == 2, "hooks of the new file")
    assert "hook on_reload 88.0" in server.log.text
    until(lambda: server.log.text.count("INFO worker started: ") == 2, "both accept connections")

    mark = server.log.mark()
    server.signal(signal.SIGQUIT)
    assert server.wait() == 0
    assert server.log.since(mark).count("hook worker_int") == 2


def test_a_file_that_fails_prevents_the_start_with_one_message(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("import os\n1 / 0\n")
    command = [sys.executable, "-m", "ianus", "--check-config", "app:app"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 3
    path = tmp_path / "gunicorn.conf.py"
    assert found.stderr.startswith(f'Traceback (most recent call last):\n  File "{path}", line 2, in <module>\n')
    message = "The configuration gunicorn.conf.py cannot be executed: ZeroDivisionError: division by zero."
    assert found.stderr.endswith(f"\nError: {message} Correct the file. (ianus docs gunicorn)\n")
    assert "ianus/settings" not in found.stderr
