"""The title of a process."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from ianus.process.title import set_title
if sys.argv[1] == "without":
    sys.modules["setproctitle"] = None
set_title(sys.argv[2])
for name in ("comm", "cmdline"):
    sys.stdout.buffer.write(open(f"/proc/self/{name}", "rb").read().rstrip(b"\\n\\0") + b"\\n")
"""


def titles(how: str, text: str) -> list[bytes]:
    """Short and long name of a process that calls itself `text`."""
    completed = subprocess.run([sys.executable, "-c", PROGRAM, how, text], capture_output=True, check=True)
    return completed.stdout.split(b"\n")[:2]


def test_with_setproctitle() -> None:
    pytest.importorskip("setproctitle")
    assert titles("with", "ianus: worker 1 [a:\xe4]") == [b"ianus: worker 1", "ianus: worker 1 [a:\xe4]".encode()]


def test_without_it_the_short_name_is_set() -> None:
    short, long = titles("without", "ianus: worker 12")
    assert short == b"ianus: worker 1"
    assert long.startswith(os.fsencode(sys.executable))


def test_where_names_cannot_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "setproctitle", None)

    def refuse(*arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr("builtins.open", refuse)
    from ianus.process.title import set_title

    set_title("x")
