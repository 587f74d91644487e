"""The end of a worker's process, in processes that have nothing else to do."""

import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import WAIT_SECONDS

pytestmark = pytest.mark.slow

# The limits are short here, except if the test would then fail on a slow machine.
PROGRAM = """
import atexit, ctypes, gc, logging, multiprocessing, os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from ianus.process.worker import exit
from ianus.process.worker.exit import Ending, Exit

logging.basicConfig(format="%(levelname)s %(message)s", level="INFO", stream=sys.stdout)
exit.EARLY_THREADS_SECONDS, exit.ATEXIT_SECONDS = {early}, 0.5
release = threading.Event()

def wait():
    release.wait()

def forever():
    while True:
        time.sleep(0.01)

def finish():
    time.sleep(0.3)
    print("finished")

def start(target, **how):
    thread = threading.Thread(target=target, **how)
    thread.start()
    return thread

atexit.register(print, "atexit")
early = []
{code}
print("ends", end=" ")
sys.exit(Exit(Ending(7, float("{seconds}"), early, {abandons})).run())
"""


@pytest.fixture
def end() -> Callable[..., str]:
    """end(code): returns the output of such a process; its exit code is checked."""

    def end(code: str, *, seconds: float = 0.5, early: float = 60, abandons: bool = False) -> str:
        program = PROGRAM.format(code=code, seconds=seconds, early=early, abandons=abandons)
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=WAIT_SECONDS
        )
        text = done.stdout.decode()
        assert done.returncode == 7, text
        return text

    return end


ABANDONED = "WARNING threads still running, abandoned after "


def test_nothing_to_wait_for(end: Callable[..., str]) -> None:
    assert end("") == "ends atexit\n"


def test_python_does_not_collect_garbage_at_its_end(end: Callable[..., str]) -> None:
    """Over all that mlflow or Airflow load it takes seconds."""
    text = end(
        "class Last:\n"
        "    def __del__(self, count=gc.get_freeze_count, write=os.write):\n"
        "        write(1, b'frozen' if count() > 1000 else b'not')\n"
        "sys.last = Last()"
    )
    assert text.endswith("frozen")


def test_the_application_collects_garbage_in_functions_of_atexit(end: Callable[..., str]) -> None:
    """Code that counts its objects there, or closes connections in __del__, finds no garbage from before."""
    text = end(
        "import weakref\n"
        "thing = type('Thing', (), {})()\n"
        "thing.itself = thing\n"
        "seen = weakref.ref(thing)\n"
        "del thing\n"
        "atexit.register(lambda: (gc.collect(), print('collected' if seen() is None else 'left')))"
    )
    assert text == "ends collected\natexit\n"


JOURNAL = """
class Journal:
    def __init__(self):
        self.file = open({path!r}, "w")
        self.put = self.write

    def write(self, line):
        self.file.write(line)

journal = Journal()
journal.put("the last line")
"""


@pytest.mark.parametrize("rest", ["", "start(forever)"])
def test_files_that_are_open_at_the_end_are_complete(rest: str, end: Callable[..., str], tmp_path: Path) -> None:
    """Also in a reference cycle, and if Python's end is skipped because a thread still runs."""
    end(JOURNAL.format(path=str(tmp_path / "journal")) + rest)
    assert (tmp_path / "journal").read_text() == "the last line"


def test_a_file_without_a_reader_does_not_delay_the_exit(end: Callable[..., str]) -> None:
    fill = "reader, writer = os.pipe()\npipe = open(writer, 'wb', 1 << 20)\npipe.write(bytes(1 << 19))"
    assert "WARNING atexit function interrupted after " in end(fill)


@pytest.mark.parametrize(
    "code",
    [
        "start(finish)",
        "early.append(start(finish))",
        "start(lambda: (time.sleep(0.1), start(finish)))",
        "threading.Timer(0.1, finish).start()",
        "ThreadPoolExecutor(1).submit(finish)",
        "start(lambda: ThreadPoolExecutor(1).submit(finish), daemon=True); time.sleep(0.1)",
        "start(lambda: threading.main_thread().join() or print('finished'))",
    ],
)
def test_threads_that_end_are_waited_for(code: str, end: Callable[..., str]) -> None:
    assert end(code, seconds=60).endswith("finished\natexit\n")


def test_there_may_be_no_limit(end: Callable[..., str]) -> None:
    assert end("start(finish)", seconds=math.inf).endswith("finished\natexit\n")


@pytest.mark.parametrize(
    ("code", "frame"),
    [
        ("start(forever, name='poller')", "in forever"),
        ("early.append(start(forever, name='poller'))", "in forever"),
        ("ThreadPoolExecutor(1, thread_name_prefix='poller').submit(wait)", "in wait"),
        ("start(lambda: ThreadPoolExecutor(1, 'poller').submit(wait), daemon=True); time.sleep(0.1)", "in wait"),
        ("thread = threading.Timer(0, wait); thread.name = 'poller'; thread.start()", "in wait"),
        ("def again(): time.sleep(0.01); start(again, name='poller')\nagain()", "in again"),
        ("start(lambda: ctypes.CDLL(None).pause(), name='poller')", "in <lambda>"),
    ],
)
def test_threads_that_do_not_end_are_named_and_left(code: str, frame: str, end: Callable[..., str]) -> None:
    text = end(code)
    assert ABANDONED in text
    assert "\npoller" in text
    assert frame in text
    assert text.endswith("\natexit\n")


def test_a_thread_that_was_there_from_the_start_has_a_limit_of_its_own(end: Callable[..., str]) -> None:
    """It may well be one that never ends. Those that requests have started are waited for."""
    assert ABANDONED in end("early.append(start(forever))", seconds=60, early=0.2)
    assert ABANDONED in end("early.append(start(forever))", seconds=0, early=0.2)
    assert "finished" in end("early.append(start(forever)); start(finish)", seconds=60, early=0.2)
    text = end("pool = ThreadPoolExecutor(1); pool.submit(finish); early += pool._threads", seconds=60, early=0.1)
    assert "finished" in text


def test_the_threads_that_are_waited_for_are_named(end: Callable[..., str]) -> None:
    text = end("exit.ANNOUNCE_SECONDS = 0.1; start(forever, name='poller')", seconds=1)
    assert "INFO waiting for threads for up to 1 s: poller\n" in text


def test_daemons_are_not_waited_for(end: Callable[..., str]) -> None:
    assert end("start(forever, daemon=True)", seconds=60) == "ends atexit\n"


def test_a_quick_stop_does_not_wait(end: Callable[..., str]) -> None:
    quits = "start(lambda: (time.sleep(0.2), os.kill(os.getpid(), signal.SIGQUIT)), daemon=True)"
    text = end(f"start(forever, name='poller'); {quits}", seconds=60)
    assert ABANDONED in text
    assert text.endswith("\natexit\n")


def test_a_function_of_atexit_that_does_not_return_is_interrupted(end: Callable[..., str]) -> None:
    text = end("atexit.register(forever)")
    assert re.search(r"WARNING atexit function interrupted after \d\.\d s:\n", text)
    assert "in forever" in text
    assert text.endswith("\natexit\n")
    assert "Exception ignored" not in text


def test_a_thread_that_cannot_be_interrupted_is_abandoned(end: Callable[..., str]) -> None:
    text = end("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGQUIT]); atexit.register(ctypes.CDLL(None).pause)")
    assert "ERROR process does not end, abandoned while its main thread was here:\n" in text


def test_child_processes_have_the_time_of_threads(end: Callable[..., str]) -> None:
    """multiprocessing waits for them in a function of atexit."""
    child = "multiprocessing.get_context('fork').Process(target=sleep, args=({},), name='child').start()"
    sleep = "def sleep(seconds): os.close(1); os.close(2); time.sleep(seconds)\n"
    assert end(sleep + child.format(0.8), seconds=60) == "ends atexit\n"
    text = end(sleep + child.format(10))
    assert "; child processes still running: child (pid " in text
    assert text.endswith("\natexit\n")


def test_calls_that_have_not_returned_are_left(end: Callable[..., str]) -> None:
    """Their threads are daemons, which could crash the process during the rest of its end."""
    text = end("import weakref; o = type('O', (), {})(); weakref.finalize(o, print).atexit = False", abandons=True)
    assert text == "ends atexit\n"
