"""The process of --preload: the parent of its workers, its report of threads, and its end."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ianus.errors import StartupError
from ianus.process.supervisor import template
from tests.helpers import WAIT_SECONDS, Output, is_running, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="--preload needs Linux"),
]

# A supervisor evaluates lines of standard input, and prints the results. Its worker writes its arguments into one
# descriptor, and ends with the exit code that it reads from another one.
SUPERVISOR = """
import gc, logging, os, signal, sys
from ianus.errors import StartupError
from ianus.process.fork import Forked
from ianus.process.supervisor.template import Template, become_subreaper

def leave():
    for fd in (0, 1, told[0], code[1]):
        os.close(fd)

def load():
    {load}
    return "loaded in %d" % os.getpid()

def work(loaded, slot, fds, plain):
    told, code = fds
    facts = [loaded, slot, gc.get_freeze_count() > 0, os.get_inheritable(told)]
    facts += [signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, signal.getsignal(signal.SIGINT) == signal.SIG_DFL]
    os.write(told, repr(facts).encode())
    return int(os.read(code, 10) or 77)

def fork(slot):
    pid = template.fork(slot, [told[1], code[0]])
    return pid, os.read(told[0], 1000).decode()

def stop_at_once(slot):
    pid = template.fork(slot, [told[1], code[0]])
    os.kill(pid, signal.SIGTERM)
    return wait(pid)

def wait(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

logging.basicConfig(format="%(levelname)s %(message)s")
signal.signal(signal.SIGTERM, lambda *_: None)
told, code = os.pipe(), os.pipe()
become_subreaper()
try:
    template = Template(leave, load, work)
except Forked as forked:
    sys.exit(forked.function())
for line in sys.stdin:
    try:
        result = eval(line)
    except Exception as error:
        result = error
    print(result, flush=True)
"""


class Supervisor:
    """A process that runs SUPERVISOR; `load` stands in its load().

    log: its standard error.
    """

    def __init__(self, load: str = "pass") -> None:
        command = [sys.executable, "-c", SUPERVISOR.format(load=load)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.output = Output(self.process.stdout)
        self.log = Output(self.process.stderr)

    def ask(self, expression: str) -> str:
        """Returns the value of the expression in that process, or the exception that it raises."""
        mark = self.output.mark()
        assert self.process.stdin is not None
        self.process.stdin.write(expression.encode() + b"\n")
        self.process.stdin.flush()
        return self.output.wait_for(r"^(.*)\n", mark)[1]

    def template(self) -> int:
        """The pid of the template, which has loaded."""
        assert self.ask("template.read()") == "True"
        return int(self.ask("template.pid"))

    def end(self) -> None:
        """Ends the process; its children end too, or the wait for the end of the output would fail."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.kill()
        self.process.wait(WAIT_SECONDS)
        for output in (self.output, self.log):
            output.join()


@pytest.fixture
def supervise() -> Iterator[Callable[..., Supervisor]]:
    """supervise(load): a Supervisor."""
    started: list[Supervisor] = []

    def supervise(load: str = "pass") -> Supervisor:
        started.append(Supervisor(load))
        return started[-1]

    yield supervise
    for each in started:
        each.end()


def test_workers_are_children_of_the_supervisor_and_have_what_is_loaded(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise()
    pid = supervisor.template()
    descriptors = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208
    for slot in (0, 7):
        worker, facts = eval(supervisor.ask(f"fork({slot})"))
        assert eval(facts) == [f"loaded in {pid}", slot, True, False, True, False]
        supervisor.ask(f"os.write(code[1], b'{40 + slot}')")
        assert supervisor.ask(f"wait({worker})") == str(40 + slot)
    assert os.listdir(f"/proc/{pid}/fd") == descriptors  # noqa: PTH208
    assert supervisor.log.text == ""


def test_a_stop_is_not_lost_on_a_worker_that_has_just_started(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise()
    supervisor.template()
    for slot in range(30):
        assert supervisor.ask(f"stop_at_once({slot})") == str(-signal.SIGTERM)


def test_workers_outlive_a_template_that_is_killed(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise()
    pid = supervisor.template()
    worker, _ = eval(supervisor.ask("fork(1)"))
    os.kill(pid, signal.SIGKILL)
    assert supervisor.ask("template.read()") == "False"
    assert "Broken pipe" in supervisor.ask("fork(1)")
    assert supervisor.ask("template.close()") == supervisor.ask("template.close()") == "None"
    assert not is_running(pid)
    supervisor.ask("os.write(code[1], b'5')")
    assert supervisor.ask(f"wait({worker})") == "5"


def test_workers_outlive_a_template_that_is_closed(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise()
    pid = supervisor.template()
    worker, _ = eval(supervisor.ask("fork(1)"))
    supervisor.ask("template.close()")
    assert not is_running(pid)
    supervisor.ask("os.write(code[1], b'5')")
    assert supervisor.ask(f"wait({worker})") == "5"


@pytest.mark.parametrize(
    ("load", "code", "log"),
    [
        (
            "raise StartupError('No such application.', details='Traceback')",
            3,
            "Traceback\n\nError: No such application.",
        ),
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
    ],
)
def test_an_application_that_does_not_load(
    load: str, code: int, log: str, supervise: Callable[..., Supervisor]
) -> None:
    supervisor = supervise(load)
    assert supervisor.ask("template.read()") == "False"
    assert supervisor.ask("wait(template.pid)") == str(code)
    assert supervisor.log.text.count(log) == 1
    assert supervisor.ask("setattr(template, 'pid', 0), template.close()") == "(None, None)"


THREAD = "import threading; threading.Thread(target=signal.pause, name='refresher {}', daemon=True).start()"
NATIVE = "import ctypes; c = ctypes.CDLL(None); c.pthread_create(ctypes.byref(ctypes.c_ulong()), None, c.pause, None)"


def test_threads_that_workers_will_miss_are_named(supervise: Callable[..., Supervisor]) -> None:
    """Native threads are not the application's: numpy's OpenBLAS has some, and starts them again after a fork."""
    supervisor = supervise(f"{THREAD.format(1)}; {NATIVE}")
    supervisor.template()
    found = supervisor.log.wait_for(r"^WARNING with --preload no worker has the threads .*: (.*)\. Start them in the ")
    assert found[1] == "refresher 1"


def test_native_threads_are_not_warned_of(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise(NATIVE)
    supervisor.template()
    assert eval(supervisor.ask("fork(1)"))
    assert "--preload" not in supervisor.log.text


def test_many_threads_are_counted(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise(f"[exec({THREAD!r}.format(number)) for number in range(8)]")
    supervisor.template()
    supervisor.log.wait_for(r"^WARNING .*: \w[^:]*(, \w[^:]*){4} and 3 more\. Start")


def test_signals_to_the_whole_process_group_are_ignored(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise()
    pid = supervisor.template()
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    worker, facts = eval(supervisor.ask("fork(2)"))
    assert eval(facts)[1] == 2
    os.kill(worker, signal.SIGKILL)
    assert supervisor.ask(f"wait({worker})") == "-9"


def test_a_template_does_not_outlive_the_supervisor(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise()
    pid = supervisor.template()
    supervisor.process.kill()
    until(lambda: not is_running(pid), "the end of the template")
    assert supervisor.log.text == ""


def test_a_template_does_not_outlive_a_supervisor_that_exits_while_it_loads(
    supervise: Callable[..., Supervisor], tmp_path: Path
) -> None:
    supervisor = supervise(f"import time\n    while not os.path.exists({str(tmp_path / 'go_on')!r}): time.sleep(0.005)")
    pid = int(supervisor.ask("template.pid"))
    supervisor.process.kill()
    supervisor.process.wait()
    (tmp_path / "go_on").touch()
    until(lambda: not is_running(pid), "the end of the template")
    assert supervisor.log.text == ""


@pytest.mark.parametrize("first", [True, False])
def test_why_there_is_no_worker(first: bool, supervise: Callable[..., Supervisor]) -> None:
    fork = f"os.stat('none') if {first} or os.getpid() != pid else fork()"
    supervisor = supervise(f"pid, fork = os.getpid(), os.fork; os.fork = lambda: {fork}")
    pid = supervisor.template()
    assert "No such file or directory" in supervisor.ask("fork(1)")
    assert is_running(pid)
    assert supervisor.ask("os.waitpid(-1, os.WNOHANG)") == "(0, 0)"


def test_a_template_that_does_not_answer_is_killed(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise("os.register_at_fork(before=signal.pause)")
    supervisor.template()
    supervisor.ask("template._socket.settimeout(0.01)")
    assert supervisor.ask("fork(1)") == "timed out"
    assert supervisor.ask("wait(template.pid)") == "-9"


def test_a_fork_that_is_killed_on_its_way(supervise: Callable[..., Supervisor]) -> None:
    kill = "os.kill(os.getpid(), 9) if os.getpid() != pid else fork()"
    supervisor = supervise(f"pid, fork = os.getpid(), os.fork; os.fork = lambda: {kill}")
    supervisor.template()
    assert supervisor.ask("fork(1)") == "the process that forks it was killed"


# --- Systems without subreapers ---


def test_other_systems_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(StartupError, match="--preload needs Linux"):
        template.become_subreaper()


def test_a_refusal_of_the_system_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def __init__(self, *_: object, **__: object) -> None:
            self.prctl = lambda *_: ctypes.set_errno(1) or -1

    monkeypatch.setattr(ctypes, "CDLL", Refusing)
    with pytest.raises(StartupError, match=r"PR_SET_CHILD_SUBREAPER fails \(Operation not permitted\)"):
        template.become_subreaper()
