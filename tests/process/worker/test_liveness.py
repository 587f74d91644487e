"""The end of the supervisor: a worker notices it, and a child that an application has forked does not interfere."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from ianus.process.scoreboard import Scoreboard
from ianus.process.worker.liveness import WorkerLiveness
from ianus.settings.schema import Settings
from tests.helpers import WAIT_SECONDS

pytestmark = pytest.mark.slow

# A worker that prints the signals that it gets, in place of obeying them.
WORKER = """
import os, signal, sys, time
from ianus.process.scoreboard import Scoreboard
from ianus.process.worker_spec import SupervisorLink
from ianus.process.worker.liveness import WorkerLiveness
from ianus.settings.schema import Settings

for number in (signal.SIGTERM, signal.SIGQUIT):
    signal.signal(number, lambda number, frame: os.write(1, signal.Signals(number).name.encode() + b"\\n"))
scoreboard, lifeline, channel = map(int, sys.argv[1:])
liveness = WorkerLiveness(SupervisorLink(0, Scoreboard(scoreboard), lifeline, channel), Settings(**{settings}))
os.write(1, b"ready\\n")
{then}
while True:
    signal.pause()
"""


class Worker(NamedTuple):
    """The test plays its supervisor: lifeline is the end to hold, channel the one to read."""

    process: "subprocess.Popen[bytes]"
    scoreboard: Scoreboard
    lifeline: int
    channel: int

    def line(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip()


@pytest.fixture
def start() -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def start_worker(then: str = "", **settings: float) -> Worker:
        scoreboard = Scoreboard()
        lifeline, held = os.pipe()
        heard, channel = os.pipe()
        code = WORKER.format(settings=settings, then=then)
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, (scoreboard.fd, lifeline, channel))],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(scoreboard.fd, lifeline, channel),
        )
        os.close(lifeline)
        os.close(channel)
        workers.append(Worker(process, scoreboard, held, heard))
        assert workers[-1].line() == b"ready"
        return workers[-1]

    yield start_worker
    for worker in workers:
        worker.process.kill()
        worker.process.communicate()
        worker.scoreboard.close()
        os.close(worker.channel)


def test_the_supervisors_end_is_a_request_to_stop(start: Callable[..., Worker]) -> None:
    worker = start()
    os.close(worker.lifeline)
    assert worker.line() == b"SIGTERM"


def test_a_worker_that_does_not_stop_in_time_gets_another_signal(start: Callable[..., Worker]) -> None:
    worker = start("", timeout_stop=0.05)
    os.close(worker.lifeline)
    assert worker.line() == b"SIGTERM"
    assert worker.line() == b"SIGQUIT"


def test_nothing_is_done_while_the_supervisor_lives(start: Callable[..., Worker]) -> None:
    worker = start("os.kill(os.getpid(), signal.SIGQUIT)")
    # SIGTERM would have arrived first.
    assert worker.line() == b"SIGQUIT"
    os.close(worker.lifeline)


def test_a_worker_that_holds_pythons_lock_hears_of_it_too(start: Callable[..., Worker]) -> None:
    # The signal's handler is C code here, since no Python code runs.
    worker = start(
        "import ctypes; signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
        "os.write(1, b'holds\\n'); ctypes.PyDLL(None).poll(None, 0, -1)"
    )
    assert worker.line() == b"holds"
    os.close(worker.lifeline)
    assert worker.process.wait(WAIT_SECONDS) == -signal.SIGTERM


@pytest.mark.skipif("libasan" in os.environ.get("LD_PRELOAD", ""), reason="AddressSanitizer has its own report of that")
def test_a_crash_writes_the_stacks_to_the_scoreboard(start: Callable[..., Worker]) -> None:
    worker = start("def broken(): os.kill(os.getpid(), signal.SIGSEGV)\nbroken()")
    assert worker.process.wait(WAIT_SECONDS) == -signal.SIGSEGV
    stacks = worker.scoreboard.take_stacks()
    assert stacks.startswith("Fatal Python error: Segmentation fault\n\n")
    assert " in broken\n" in stacks
    os.close(worker.lifeline)


def test_a_child_of_such_a_child_keeps_its_own_files(start: Callable[..., Worker]) -> None:
    """They have the numbers that the worker's descriptors had."""
    worker = start(
        "if os.fork() == 0:\n"
        "    own = [os.open('/dev/null', os.O_RDONLY) for _ in range(300)]\n"
        "    if os.fork() == 0:\n"
        "        for fd in own: os.fstat(fd)\n"
        "        os.write(1, b'kept %d\\n' % ({lifeline, channel} <= set(own)))\n"
        "    os._exit(0)\n"
    )
    assert worker.line() == b"kept 1"
    os.close(worker.lifeline)


def test_abort_writes_the_stack_of_every_thread(start: Callable[..., Worker]) -> None:
    worker = start(
        "import threading\n"
        "inside = threading.Event()\n"
        "def wait_for_the_database(): inside.set(); threading.Event().wait()\n"
        "threading.Thread(target=wait_for_the_database, daemon=True).start()\n"
        "inside.wait(); os.write(1, b'waits\\n')"
    )
    assert worker.line() == b"waits"
    worker.process.send_signal(signal.SIGABRT)
    assert worker.process.wait(WAIT_SECONDS) == -signal.SIGABRT
    assert " in wait_for_the_database\n" in worker.scoreboard.take_stacks()
    os.close(worker.lifeline)


def test_a_child_of_the_application_is_not_a_worker(start: Callable[..., Worker]) -> None:
    # It crashes, and it outlives the worker: neither is the supervisor's business.
    worker = start(
        "reading, writing = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.close(writing); os.read(reading, 1); liveness.stop()\n"
        "    os.kill(os.getpid(), signal.SIGABRT)\n"
        "os.write(1, b'forked\\n'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert worker.line() == b"forked"
    assert worker.process.wait(WAIT_SECONDS) == -signal.SIGKILL
    # The channel and the lifeline are at their ends, though the child lives.
    assert os.read(worker.channel, 1) == b""
    with pytest.raises(BrokenPipeError):
        os.write(worker.lifeline, b"x")
    os.close(worker.lifeline)
    assert worker.process.stderr is not None
    assert b"Fatal Python error: Aborted" in worker.process.stderr.read()
    assert worker.scoreboard.take_stacks() == ""


def test_without_a_supervisor_nothing_is_changed() -> None:
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    liveness = WorkerLiveness(None, Settings())
    liveness.stop()
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
