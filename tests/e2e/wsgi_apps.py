"""The WSGI applications that the end-to-end tests talk to: one small function for each path.

wsgiref.validate stands between each of them and the server, and checks both. It also hides the objects it wraps, so
handlers are `bare` if the server inspects their values (the length of a list, a file wrapper), or if
the application breaks the protocol.

Like those of apps.py they report events on standard error (`report`).
"""

import ast
import atexit
import contextlib
import contextvars
import gzip
import hashlib
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from wsgiref.validate import validator

from tests.e2e.apps import alive, fork_child, reap_child, report, run_child

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
Handler = Callable[[Environ, StartResponse], Iterable[bytes]]

# Maximum seconds that a thread waits: it cannot be cancelled.
WAIT_SECONDS = 30.0

HANDLERS: dict[str, Handler] = {}


def path(name: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        HANDLERS[name] = validator(handler)
        return handler

    return register


def bare(name: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        HANDLERS[name] = handler
        return handler

    return register


class Count:
    """Counts the threads that have ever run this application, the current calls, and the maximum at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread = threading.local()
        self.threads = self.calls = self.running = self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            if not hasattr(self._thread, "seen"):
                self._thread.seen = True
                self.threads += 1
            self.calls += 1
            self.running += 1
            self.most = max(self.most, self.running)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.running -= 1


count = Count()


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    with count:
        return HANDLERS.get(environ["PATH_INFO"], missing)(environ, start_response)


def report_live_objects(pid: int) -> None:
    if os.getpid() == pid:  # not the children of /fork-and-exit
        report("alive", json.dumps(alive()))


atexit.register(report_live_objects, os.getpid())


def answer(
    start_response: StartResponse, body: bytes, status: str = "200 OK", headers: tuple[tuple[str, str], ...] = ()
) -> list[bytes]:
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *headers])
    return [body]


def query(environ: Environ) -> str:
    return unquote(environ["QUERY_STRING"])


def literal(environ: Environ) -> Any:
    return ast.literal_eval(query(environ))


def missing(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return answer(start_response, b"missing\n", "404 Not Found")


class Closing:
    """Blocks, and whether close() was called."""

    def __init__(self, blocks: Iterable[bytes], name: str = "") -> None:
        self._blocks = blocks
        self._name = name

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._blocks)

    def close(self) -> None:
        report("closed", self._name)


# --- Whole answers ---


@path("/hello")
def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return answer(start_response, b"hello\n")


@path("/target")
def target(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Which request this is: the query string."""
    return answer(start_response, environ["QUERY_STRING"].encode("latin-1"))


@path("/environ")
def show_environ(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return bare_environ(environ, start_response)


@bare("/")
@bare("/bare-environ")
def bare_environ(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    shown = {name: value for name, value in environ.items() if type(value) in (str, bool, tuple, int)}
    shown["types"] = {name: type(value).__name__ for name, value in environ.items()}
    return answer(start_response, json.dumps(shown).encode())


@path("/stats")
def stats(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    shown = {"threads": count.threads, "calls": count.calls, "most": count.most}
    return answer(start_response, json.dumps(shown).encode())


class Slow:
    """Takes its time to end, as a connection to a database does."""

    def __del__(self) -> None:
        time.sleep(0.1)
        report("thread-local data is gone")


kept_in_thread = threading.local()


@path("/keep-in-thread")
def keep_in_thread(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Keeps an object in its thread's local storage."""
    kept_in_thread.slow = Slow()
    return answer(start_response, b"kept\n")


@path("/thread")
def thread(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The threads that call, iterate and close."""
    called = threading.get_ident()

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield f"{called} {threading.get_ident()}".encode()

        def close(self) -> None:
            report("closed in", threading.get_ident())

    start_response("200 OK", [("Content-Type", "text/plain")])
    return Body()


@path("/large")
def large(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answers with the number of bytes in the query, in one block."""
    return answer(start_response, b"x" * int(environ["QUERY_STRING"]))


@path("/slow-close")
def slow_close(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Its close() waits at a gate."""

    class Body(list[bytes]):
        def close(self) -> None:
            hold_at(query(environ))

    answer(start_response, b"body\n")
    return Body([b"body\n"])


@bare("/own-fields")
def own_fields(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    own = (("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("Server", "own"))
    return answer(start_response, b"", headers=own)


@bare("/hop-by-hop")
def hop_by_hop(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    fields = (("Proxy-Connection", "x"), ("Transfer-Encoding", "gzip"), ("Upgrade", "h2c"), ("X-Kept", "1"))
    return answer(start_response, b"hello\n", headers=fields)


# --- Bodies of requests ---


@path("/echo")
def echo(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    report("called", environ["PATH_INFO"])
    return answer(start_response, environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))


@path("/size")
def size(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    total = 0
    while piece := environ["wsgi.input"].read(10_000):
        total += len(piece)
    return answer(start_response, b"%d" % total)


@path("/files-of-spools")
def files_of_spools(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answers with the names of this process's open files."""
    names = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            names.append(str(link.readlink()))
    return answer(start_response, json.dumps(names).encode())


@path("/digest")
def digest(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Reads the body in pieces, and answers with the SHA-256 of it. Reports errors of the body, and raises them."""
    report("called", environ["PATH_INFO"])
    total = hashlib.sha256()
    try:
        while piece := environ["wsgi.input"].read(65_536):
            total.update(piece)
    except OSError as error:
        report("body broke off", type(error).__name__)
        raise
    return answer(start_response, total.hexdigest().encode())


@path("/first-bytes")
def first_bytes(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answers with the first bytes of the body, and does not read the others."""
    report("called", environ["PATH_INFO"])
    return answer(start_response, environ["wsgi.input"].read(5))


@bare("/keep-input")
def keep_input(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    report("called", environ["PATH_INFO"])
    kept.update(environ)
    return answer(start_response, b"kept")


@bare("/input")
def read_input(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Reads the body as the query spells: names of methods and their arguments."""
    stream = environ["wsgi.input"]
    results: list[object] = []
    for name, *arguments in literal(environ):
        if name == "list":
            results.append(list(stream))
        elif name == "next":
            results.append(next(iter(stream), None))
        else:
            results.append(getattr(stream, name)(*arguments))
    return answer(start_response, repr(results).encode())


# --- Answers in pieces ---


@path("/stream")
def stream(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Three blocks, some empty ones between them, and no length."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter([b"", b"one\n", b"", b"two\n", b"three\n", b""])


@path("/late-start")
def late_start(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
    """A generator: nothing is called before the first iteration."""
    yield from answer(start_response, b"late\n")


@path("/pieces")
def pieces(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answers with the number of 64 KiB blocks in the query."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return Closing((bytes(65536) for _ in range(int(environ["QUERY_STRING"]))), "pieces")


@path("/endless")
def endless(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Blocks without end; the query is (status, fields)."""
    status, fields = literal(environ)
    start_response(status, fields)
    return Closing(itertools.repeat(b"12345"), "endless")


@path("/write")
def write(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """write() first, then an iterable."""
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    for data in (b"", b"one\n", b"two\n"):
        write(data)
    return iter([b"three\n", b"", b"four\n"])


@path("/write-only")
def write_only(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"one\n")
    write(b"two\n")
    return []


@path("/write-pieces")
def write_pieces(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Calls write() with the number of 64 KiB blocks in the query."""
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        for _ in range(int(environ["QUERY_STRING"])):
            write(bytes(65536))
    except Exception as error:
        report("write raised", isinstance(error, OSError))
        raise
    return Closing([], "write-pieces")


# --- Steps that the query spells ---


class Player:
    """An application and its iterable that take the steps of a list, one after the other:

    ("start", *arguments): start_response; "exc_info" among the arguments stands for a caught LookupError's.
    ("write", data), ("raise", name of an exception), ("report", event)
    ("wait", name of a gate): until /open; ("hold", path of a named pipe): until the test writes into it.
    ("iterate",): the next steps run while the response is iterated; ("yield", data) is possible there only.
    ("return", value): instead of an iterable.
    ("at close", step): a step that close() runs.
    """

    def __init__(self, environ: Environ, start_response: StartResponse) -> None:
        self._steps = iter(literal(environ))
        self._start_response = start_response
        self._write: Callable[[bytes], object] | None = None
        self._at_close: list[Any] = []

    def call(self) -> Iterable[bytes]:
        for step in self._steps:
            if step[0] == "iterate":
                break
            if step[0] == "return":
                return step[1]  # type: ignore[no-any-return]
            self._take(step)
        return self

    def __iter__(self) -> Iterator[bytes]:
        for step in self._steps:
            if step[0] == "yield":
                yield step[1]
            else:
                self._take(step)

    def close(self) -> None:
        report("closed")
        for step in self._at_close:
            self._take(step)

    def _take(self, step: Any) -> None:
        name, *arguments = step
        try:
            match name:
                case "start":
                    self._start(arguments)
                case "write":
                    assert self._write is not None
                    self._write(*arguments)
                case "raise":
                    raise EXCEPTIONS[arguments[0]]("raised on purpose")
                case "wait":
                    wait_at(arguments[0])
                case "hold":
                    hold_at(arguments[0])
                case "report":
                    report(arguments[0])
                case "at close":
                    self._at_close.append(arguments[0])
                case _:
                    raise AssertionError(f"no such step: {name}")
        except BaseException as error:
            report("raised", f"{name} {type(error).__name__}: {error}")
            raise

    def _start(self, arguments: list[Any]) -> None:
        if "exc_info" not in arguments:
            self._write = self._start_response(*arguments)
            return
        try:
            raise LookupError("raised on purpose")
        except LookupError:
            given = [sys.exc_info() if value == "exc_info" else value for value in arguments]
            self._write = self._start_response(*given)


EXCEPTIONS: dict[str, type[BaseException]] = {
    kind.__name__: kind
    for kind in (
        *(LookupError, SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, MemoryError, RecursionError),
        *(TimeoutError, BrokenPipeError, ConnectionResetError, BlockingIOError),
    )
}


@bare("/play")
def play(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return Player(environ, start_response).call()


@path("/play-by-the-rules")
def play_by_the_rules(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return Player(environ, start_response).call()


@bare("/start-after-refusal")
def start_after_refusal(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    try:
        start_response("200 OK", [("X-A", "b\nc")])
    except Exception:
        try:
            start_response("200 OK", [])
        except Exception:
            start_response("500 Oops", [("Content-Type", "text/plain")], sys.exc_info())
            return [b"refused twice, replaced\n"]
    return [b"not refused\n"]


class Liar:
    """Declares one block as its len(), or the number in the query."""

    def __init__(self, length: int) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"one", b"two"])


@bare("/liar")
def liar(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return Liar(int(environ["QUERY_STRING"]))


class Sequence:
    """An iterable of the days before iterators (PEP 3333, "Supporting Older (<2.2) Versions of Python")."""

    def __getitem__(self, index: int) -> bytes:
        return [b"zero", b"one"][index]


@bare("/sequence")
def sequence(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return Sequence()  # type: ignore[return-value]


@bare("/without-iterator")
def without_iterator(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """An iterable that fails when it is asked for its iterator, and has to be closed nevertheless."""

    class Failing:
        def __iter__(self) -> Iterator[bytes]:
            raise LookupError("raised on purpose")

        def close(self) -> None:
            report("closed")

    start_response("200 OK", [])
    return Failing()


@bare("/mutate")
def mutate(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Changes all that it was given and has given."""
    headers = [("Content-Length", "5"), ("X-First", "1")]
    start_response("200 OK", headers)
    headers[:] = [("Content-Length", "500"), ("X-Evil", "a\r\nb: c")]
    environ.clear()
    environ.update({"REQUEST_METHOD": "HEAD", "wsgi.input": None, "SERVER_PROTOCOL": 0, "PATH_INFO": None})
    return [b"hello"]


kept: dict[str, Any] = {}


@bare("/keep")
def keep(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Keeps everything of its request for /use-kept."""
    kept.update(environ, write=start_response("200 OK", [("X-Kept", "1")]), start_response=start_response)
    return [b"kept"]


@bare("/use-kept")
def use_kept(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Uses objects of another request, which must harm neither the server nor another response."""
    told = []
    uses: dict[str, Callable[[], object]] = {
        "write": lambda: kept["write"](b"evil"),
        "start_response": lambda: kept["start_response"]("200 EVIL", []),
        "restart": lambda: kept["start_response"]("200 EVIL", [], (LookupError, LookupError("evil"), None)),
        "hints": lambda: kept["wsgi.early_hints"]([("Link", "</evil>")]),
        "input": lambda: kept["wsgi.input"].read(10),
        "line": lambda: kept["wsgi.input"].readline(),
        "errors": lambda: kept["wsgi.errors"].write("late\n"),
    }
    for name, use in uses.items():
        try:
            use()
            told.append(f"{name}: done")
        except Exception as error:
            told.append(f"{name}: {type(error).__name__}")
    kept.clear()
    return answer(start_response, "\n".join(told).encode())


@bare("/write-in-thread")
def write_in_thread(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Writes the size in the query from a thread of its own, while the call waits for it."""
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    writer = threading.Thread(target=lambda: [write(bytes(65536)) for _ in range(int(environ["QUERY_STRING"]))])
    writer.start()
    writer.join()
    return [b"end"]


witness: "weakref.ref[object] | None" = None


class Witness:
    """Lives as long as the frame that made it."""


def raise_with_witness() -> None:
    global witness
    local = Witness()
    witness = weakref.ref(local)
    raise LookupError("raised on purpose")


@path("/exc-info")
def exc_info(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    try:
        raise_with_witness()
    except LookupError:
        start_response("500 Oops", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"oops\n"]


@path("/witness")
def ask_witness(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Whether anybody still holds the traceback of /exc-info."""
    return answer(start_response, b"held" if witness is not None and witness() is not None else b"released")


# --- Files ---


class Reader:
    """Can be read, and nothing else."""

    def __init__(self, data: bytes) -> None:
        self.read = io.BytesIO(data).read


class Told:
    """A file that reports its close(); all else is the file's own."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.read = file.read

    def close(self) -> None:
        self.file.close()
        report("file closed")


@bare("/file")
def send_file(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Wraps the file that the query describes, as PEP 3333 has it."""
    how = literal(environ)
    name = Path(how["name"])
    file: Any
    match how.get("kind", "file"):
        case "file":
            file = name.open("rb")
        case "unbuffered":
            file = name.open("rb", buffering=0)
        case "bytes":
            file = io.BytesIO(name.read_bytes())
        case "reader":
            file = Reader(name.read_bytes())
        case "told":
            file = Told(name.open("rb"))
        case "gzip":
            file = gzip.open(name)  # noqa: SIM115
        case "text":
            file = name.open()
        case "temporary":
            file = tempfile.NamedTemporaryFile()  # noqa: SIM115
            file.write(name.read_bytes())  # and no flush
            file.seek(0)
        case "spooled":
            file = tempfile.SpooledTemporaryFile(how.get("memory", 0))  # noqa: SIM115
            file.write(name.read_bytes())
            file.seek(0)
        case "pipe":
            ours, theirs = os.pipe()
            os.write(theirs, name.read_bytes())
            os.close(theirs)
            file = os.fdopen(ours, "rb")
        case "closed":
            file = name.open("rb")
            file.close()
    if start := how.get("start", 0):
        file.read(start)
    if how.get("unlink"):
        name.unlink()
    write = start_response(how.get("status", "200 OK"), how.get("headers", []))
    if "write" in how:
        write(how["write"])
    wrapped = environ["wsgi.file_wrapper"](file, *how.get("size", ()))
    match how.get("returned", "wrapper"):
        case "iterated":  # as middleware does
            return (block for block in wrapped)
        case "dropped":
            wrapped.close()
            return [b"dropped"]
        case _:
            return wrapped  # type: ignore[no-any-return]


# --- Early hints and errors ---


@path("/hints")
def hints(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Sends two hints before and one after start_response."""
    if "wsgi.early_hints" not in environ:
        return answer(start_response, b"not hinted\n")
    environ["wsgi.early_hints"]([("Link", "</one.css>; rel=preload")])
    environ["wsgi.early_hints"]([("Link", "</two.css>; rel=preload"), ("Link", "</three.js>; rel=preload")])
    body = answer(start_response, b"hinted\n")
    environ["wsgi.early_hints"]([("Link", "</four.css>; rel=preload")])
    return body


@bare("/bad-hint")
def bad_hint(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    environ["wsgi.early_hints"](literal(environ))
    return answer(start_response, b"hinted\n")


@path("/errors")
def errors(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    stream = environ["wsgi.errors"]
    stream.write("half ")
    stream.write("and half\n")
    stream.writelines(["two\n", "lines \u20ac\n"])
    stream.write("without end")
    stream.flush()
    traceback.print_exception(LookupError("printed on purpose"), file=stream)
    return answer(start_response, b"told\n")


# --- Waiting ---

gates: dict[str, threading.Event] = {}
gates_lock = threading.Lock()


def gate(name: str) -> threading.Event:
    with gates_lock:
        return gates.setdefault(name, threading.Event())


def wait_at(name: str) -> None:
    entrance = gate(name)
    report("waiting", name)
    if not entrance.wait(WAIT_SECONDS):
        raise TimeoutError(f"nobody opened {name}")


@path("/wait")
def wait(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Waits for /open with the same query string."""
    wait_at(environ["QUERY_STRING"])
    answer(start_response, b"waited\n")
    return Closing([b"waited\n"], environ["QUERY_STRING"])


@path("/open")
def open_gate(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    name = environ["QUERY_STRING"]
    gate(name).set()
    with gates_lock:
        del gates[name]
    return answer(start_response, b"opened\n")


@path("/blocks")
def blocks(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Yields a block, and after each /open another one, three in all."""
    name = environ["QUERY_STRING"]

    def produce() -> Iterator[bytes]:
        yield b"one"
        wait_at(f"{name}1")
        yield b"two"
        wait_at(f"{name}2")
        yield b"three"

    start_response("200 OK", [("Content-Type", "text/plain")])
    return Closing(produce(), name)


@path("/nap")
def nap(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Sleeps a little, without a word."""
    time.sleep(float(environ["QUERY_STRING"]))
    return answer(start_response, b"slept\n")


@path("/burn")
def burn(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Computes for a number of seconds."""
    if float(environ["QUERY_STRING"]) > 1:
        report("burning")
    end = time.monotonic() + float(environ["QUERY_STRING"])
    while time.monotonic() < end:
        sum(range(100))
    return answer(start_response, b"burnt\n")


def hold_at(pipe: str) -> None:
    """Waits until the test writes into its named pipe."""
    with open(pipe, "rb", buffering=0) as opened:  # noqa: PTH123
        report("holding")
        opened.read(1)


@path("/hold")
def hold(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    hold_at(query(environ))
    return answer(start_response, b"held\n")


# --- Effects of applications on their process ---

variable = contextvars.ContextVar("variable", default="untouched")


@path("/context")
def context(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Sets a context variable wherever it is run; its next request must not see it, itself sees it all along."""
    before = variable.get()
    variable.set("called")
    start_response("200 OK", [("Content-Type", "text/plain")])

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            seen = variable.get()
            variable.set("iterated")
            yield f"{before} {seen}".encode()

        def close(self) -> None:
            report("context at close", variable.get())
            variable.set("closed")

    return Body()


@path("/fork")
def fork(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return answer(start_response, b"%d" % fork_child())


@path("/reap")
def reap(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return answer(start_response, b"%d" % reap_child())


@path("/fork-and-end")
def fork_and_end(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Forks a child that ends its application call as the query asks; reports how the child's process ended."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)  # a child that does not end must not outlive the test
        match query(environ):
            case "exit":
                sys.exit(7)
            case "raise":
                raise LookupError("raised on purpose, in the child")
        return answer(start_response, b"from the child\n")
    return answer(start_response, b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


@path("/process")
def process(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return answer(start_response, b"%d" % run_child())


@path("/command")
def command(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    return answer(start_response, subprocess.run(["/bin/echo", "told"], capture_output=True, check=True).stdout)
