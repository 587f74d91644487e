"""The public names of `import ianus`, and the errors if they are used in a wrong place."""

import subprocess
import sys

PROGRAM = """
import sys
import ianus
assert not {"asyncio", "ianus.testing", "ianus.hooks", "ianus.process.worker.server"} & sys.modules.keys()
assert {"Server", "Settings", "hooks", "run", "testing"} <= set(dir(ianus))
assert ianus.testing.serve.__module__ == "ianus.testing"
assert ianus.hooks.WorkerInfo.__module__ == "ianus.hooks"
assert ianus.Server.__module__ == "ianus.process.worker.server"
try:
    ianus.nothing
except AttributeError as error:
    assert str(error) == "module 'ianus' has no attribute 'nothing'"
else:
    raise AssertionError
"""

INSIDE_A_LOOP = """
import asyncio
import ianus

async def main():
    ianus.run("main:app")

asyncio.run(main())
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)


def test_everything_is_there_after_a_plain_import_and_loaded_when_it_is_used() -> None:
    completed = run(PROGRAM)
    assert (completed.returncode, completed.stderr) == (0, "")


def test_run_inside_a_running_loop_names_the_remedy_in_one_message() -> None:
    completed = run(INSIDE_A_LOOP)
    assert completed.returncode == 3
    assert completed.stderr.count("\n") == 1
    assert completed.stderr.startswith("Error: ianus.run() was called inside a running event loop")
    assert completed.stderr.endswith("await ianus.Server(app).serve() (ianus docs operations)\n")
