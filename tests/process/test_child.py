"""A worker in a process of its own: how it ends."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from ianus.acceptor.listener import listen_tcp
from ianus.process import child as module
from ianus.process.child import Child
from ianus.settings.schema import Settings
from tests.helpers import PATIENCE, until

STUBBORN = """
import os, signal
for number in (signal.SIGTERM, signal.SIGQUIT): signal.signal(number, signal.SIG_IGN)
os.write(1, b"ready")
signal.pause()
"""


@pytest.fixture
def child() -> Iterator[Child]:
    (listener,) = listen_tcp("127.0.0.1", 0, backlog=1)
    yield Child("main:app", Settings(), [listener])
    listener.close()


def test_a_worker_that_ignores_every_request_is_killed(
    child: Child, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "COMMAND", STUBBORN)
    monkeypatch.setattr(module, "GRACE", 0.01)
    monkeypatch.setattr(module, "HASTENING", ((signal.SIGQUIT, 0.01), (signal.SIGKILL, None)))
    child.start()
    until(lambda: capfd.readouterr().out == "ready")
    assert child.poll() is None
    process = child._process
    child.stop()
    assert process is not None
    assert process.returncode == -signal.SIGKILL
    assert child.poll() is None


def test_a_worker_that_ends_before_it_has_read_what_to_do(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COMMAND", "import os; os._exit(5)")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    child.start()
    assert until(child.poll) == 5
    child.stop()
    child.stop()
    child.ask(signal.SIGTERM)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_the_path_of_modules_is_the_parents(
    child: Child, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "COMMAND", module.COMMAND.partition("from")[0] + "print(sys.path)")
    monkeypatch.setattr(sys, "path", ["", "/with 'quotes'", *sys.path])
    child.start()
    assert until(lambda: child.poll() is not None, timeout=PATIENCE)
    child.stop()
    assert capfd.readouterr().out == f"{sys.path}\n"
