"""Applications that start processes, of both interfaces, with the same paths. The answer is JSON.

/terminate?METHOD, /pool?METHOD, /executor?METHOD: children of multiprocessing and concurrent.futures, by start method.
/state: signals and sockets that a forked child has inherited. /pool-at-import: those of a child that was forked
while the module was loaded.
"""

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[None]]

SIGNALS = ("TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH", "TTIN", "TTOU", "CHLD")

fork = multiprocessing.get_context("fork")


def on_alarm(number: int, frame: object) -> None:
    """A handler of the application's own."""


signal.signal(signal.SIGALRM, on_alarm)


def nap() -> None:
    time.sleep(3600)


def double(number: int) -> int:
    return 2 * number


def state() -> dict[str, Any]:
    """Returns the process's own signal handlers, its wake-up descriptor, its signal mask and its sockets."""
    handlers = {
        name: getattr(handler, "__name__", str(handler))
        for name in (*SIGNALS, "ALRM")
        if (handler := signal.getsignal(getattr(signal, f"SIG{name}"))) is not signal.SIG_DFL
    }
    listening = 0
    for fd in list(Path("/proc/self/fd").iterdir()):
        with suppress(OSError), socket.socket(fileno=os.dup(int(fd.name))) as sock:
            listening += sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return {
        "handlers": handlers,
        "wakeup": signal.set_wakeup_fd(-1),
        "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
        "listening": listening,
    }


def send_state(connection: Connection) -> None:
    connection.send(state())


def state_of_child(generations: int = 1, connection: Connection | None = None) -> Any:
    """The state of a child's child's ... child."""
    ours, childs = fork.Pipe()
    if generations > 1:
        child = fork.Process(target=state_of_child, args=(generations - 1, childs))
    else:
        child = fork.Process(target=send_state, args=(childs,))
    child.start()
    told = ours.recv()
    child.join()
    if connection is not None:
        connection.send(told)
    return told


def terminate(method: str) -> int | None:
    """How a child ends that is terminated at once; None if it does not."""
    child: multiprocessing.Process = multiprocessing.get_context(method).Process(target=nap)  # type: ignore[attr-defined]
    child.start()
    child.terminate()
    child.join(10)
    code = child.exitcode
    child.kill()
    return code


def signalled(name: str) -> int:
    """How a child of os.fork() ends that gets a signal."""
    told, tells = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(20)  # a child that ignores the signal must not outlive the test
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            os.write(tells, b"!")
            # A nap looks for signals only if one interrupts it. In a child that another thread than the main one has
            # forked, CPython 3.13.0 notices a signal between two naps only in a call that always looks for them.
            for _ in range(3000):
                time.sleep(0.01)
                signal.pthread_sigmask(signal.SIG_BLOCK, [])
        except KeyboardInterrupt:
            os._exit(55)
        os._exit(1)
    os.read(told, 1)
    os.kill(pid, getattr(signal, name))
    os.close(told)
    os.close(tells)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def preexec() -> int:
    """How a program ends that was started by way of a fork, and is terminated."""
    command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(3600)"]
    with subprocess.Popen(command, preexec_fn=os.setsid, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.terminate()
        return child.wait(10)


def respond(path: str, query: str) -> bytes:
    result: Any = os.getpid()
    if path == "/state":
        result = state_of_child(int(query))
    elif path == "/terminate":
        result = terminate(query)
    elif path == "/terminate-many":
        result = sorted({str(terminate("fork")) for _ in range(int(query))})
    elif path == "/pool":
        with multiprocessing.get_context(query).Pool(2) as pool:
            result = pool.map(double, [1, 2, 3])
    elif path == "/executor":
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(query)) as executor:
            result = list(executor.map(double, [1, 2, 3]))
    elif path == "/manager":
        with fork.Manager() as manager:
            result = dict(manager.dict(a=1))
    elif path == "/signal":
        result = signalled(query)
    elif path == "/preexec":
        result = preexec()
    elif path == "/pool-at-import":
        assert pool_at_import is not None
        result = [pool_at_import.map(double, [1, 2, 3]), pool_at_import.apply(state)]
    return json.dumps(result).encode()


# Forked after all functions that its processes call.
pool_at_import = fork.Pool(1) if "POOL_AT_IMPORT" in os.environ else None


async def asgi(scope: dict[str, Any], receive: object, send: Send) -> None:
    assert scope["type"] == "http"
    body = respond(scope["path"], scope["query_string"].decode())
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    body = respond(environ["PATH_INFO"], environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
