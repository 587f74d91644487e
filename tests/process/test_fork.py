"""Processes that the supervisor forks: none of them continues as a second supervisor."""

import subprocess
import sys

from tests.helpers import WAIT_SECONDS

PROGRAM = """
import os, sys
from ianus.process.fork import Forked, fork

def leave():
    {leave}

try:
    pid = fork(lambda: 7, leave)
except Forked as forked:
    sys.exit(forked.function())
except BaseException as error:
    sys.exit(f"caught in the process that was made: {{error!r}}")
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def run(leave: str) -> tuple[str, str]:
    """Returns the result of the forking process, and its output."""
    command = [sys.executable, "-c", PROGRAM.format(leave=leave)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS, check=True)
    return ended.stdout, ended.stderr


def test_a_new_process_runs_its_function() -> None:
    assert run("pass") == ("7\n", "")


def test_a_new_process_that_cannot_close_files_exits() -> None:
    stdout, stderr = run("raise OSError(5, 'Input/output error')")
    assert stdout == "3\n"
    assert stderr == (
        "Error: a new process cannot close the supervisor's files: OSError: [Errno 5] Input/output error.\n"
    )
