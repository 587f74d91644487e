"""The supervisor's modules load nothing that takes time or memory, and no compiled module."""

import subprocess
import sys

import pytest

# Modules that every start needs, and modules that only some settings need.
MODULES = (
    "start",
    "supervise",
    "spawned",
    "hooks",
    "privileges",
    "supervisor.watcher",
    "supervisor.template",
    "supervisor.upgrade",
    "supervisor.cpus",
    "supervisor.pid_file",
)
SLOW_IMPORTS = {"asyncio", "ctypes", "difflib", "grp", "importlib.util", "pathlib", "pwd", "random", "tomllib"}

PROGRAM = """
import sys
before = set(sys.modules)
for name in sys.argv[1:]:
    __import__(f"ianus.process.{name}")
for name in set(sys.modules) - before:
    print(name, getattr(sys.modules[name], "__file__", None) or "")
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, str]:
    """The modules that these load, and their files."""
    # Without site, which may have loaded anything before.
    command = [sys.executable, "-S", "-c", PROGRAM, *MODULES]
    completed = subprocess.run(command, capture_output=True, check=True, text=True)
    return {name: file for name, _, file in (line.partition(" ") for line in completed.stdout.splitlines())}


def test_nothing_slow_is_loaded(loaded: dict[str, str]) -> None:
    assert {f"ianus.process.{name}" for name in MODULES} <= loaded.keys()
    assert SLOW_IMPORTS & loaded.keys() == set()


def test_nothing_of_ours_is_compiled(loaded: dict[str, str]) -> None:
    assert [name for name, file in loaded.items() if name.startswith("ianus") and not file.endswith(".py")] == []
