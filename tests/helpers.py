"""A server in a process of its own, and a client that believes nothing.

The server is started as a user starts it (`python -m ianus`), in an empty folder, on a free port or a Unix
socket; its address is read from its banner. The client is a socket: it sends the bytes of a test, and
parses responses by the letter of RFC 9112, so that an answer of doubtful framing fails the test.

Nothing here sleeps for luck: waiting is polling a condition, with a deadline that is far away.
"""

import atexit
import contextlib
import functools
import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self, TypeVar
from urllib.parse import quote

import pytest

APPS = Path(__file__).parent / "e2e"

# Seconds until a test gives up. Sanitizers and busy machines are slow; no test that passes waits that long.
WAIT_SECONDS = 20.0

# Options for a stop in which requests have 0.28 s, and the other parts enough time for a slow machine.
SHORT_STOP = ("--timeout-stop", "4", "--timeout-lifespan-shutdown", "2.6")

Address = tuple[str, int] | str
Result = TypeVar("Result")


def until(condition: Callable[[], Result], what: str = "condition", timeout: float = WAIT_SECONDS) -> Result:
    """Polls until `condition()` is true and returns its value. Raises AssertionError after `timeout` s."""
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"still false after {timeout} s: {what}")
        time.sleep(0.005)
    return result


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


# Memory cannot be measured if freed memory is kept to find uses of it.
measures_memory = pytest.mark.skipif(
    "libasan" in os.environ.get("LD_PRELOAD", ""), reason="AddressSanitizer keeps freed memory"
)


def without_sanitizer() -> dict[str, str]:
    """Returns the environment for a program that does not run under the sanitizer of the tests, such as curl."""
    return {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


# --- The server ---


class Output:
    """A process's output on one stream, collected by a thread so that the process never has to wait.

    Each read of the text collects too, so that earlier output is complete, however late the thread runs.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._open = True
        self._poll = select.poll()
        self._poll.register(stream, select.POLLIN)
        self._data = bytearray()
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _collect(self) -> None:
        poll = select.poll()  # One object serves one thread.
        poll.register(self._stream, select.POLLIN)
        while self._open:
            poll.poll()
            with self._changed:
                self._read()
                self._changed.notify_all()

    def _read(self) -> None:
        """Reads the available output; the lock is held."""
        while self._open and self._poll.poll(0):
            data = os.read(self._stream.fileno(), 65536)
            self._data += data
            self._open = bool(data)

    @property
    def text(self) -> str:
        with self._changed:
            self._read()
            return self._data.decode("utf-8", "replace")

    def mark(self) -> int:
        """Returns the present end of the text, for later searches after it."""
        return len(self.text)

    def since(self, mark: int) -> str:
        return self.text[mark:]

    def wait_for(self, pattern: str, since: int = 0, timeout: float = WAIT_SECONDS) -> re.Match[str]:
        """Waits until the text after `since` has a match of `pattern`, whose `^` matches at each line."""
        search = re.compile(pattern, re.MULTILINE).search
        deadline = time.monotonic() + timeout
        with self._changed:
            while (found := search(self.since(since))) is None:
                left = deadline - time.monotonic()
                if left <= 0 or not self._thread.is_alive():
                    break
                self._changed.wait(min(left, 0.1))
        found = found or search(self.since(since))
        assert found is not None, f"no {pattern!r} in:\n{self.since(since)}"
        return found

    def join(self) -> None:
        """Waits for the end of the stream and closes it."""
        self._thread.join(WAIT_SECONDS)
        with self._changed:
            self._open = False
            self._stream.close()


# The engine of TLS, if tests run over TLS that know nothing of it (`make over-tls`): servers get a certificate, and
# clients of this module a TLS socket.
OVER_TLS = os.environ.get("TESTS_OVER_TLS", "")


class TlsAddress(tuple[str, int]):
    """The address of a server that has TLS because of OVER_TLS."""


@functools.cache
def _tls_options() -> tuple[str, ...]:
    from tests.certificates import localhost

    folder = Path(tempfile.mkdtemp(prefix="ianus-over-tls-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    certificate, key = localhost().write(folder, "server")
    return ("--ssl-certfile", certificate, "--ssl-keyfile", key, "--tls-engine", OVER_TLS)


def _add_tls(options: Sequence[str], bind: Sequence[str]) -> tuple[str, ...]:
    """Returns the options of TLS, or none for a server of which the test decides about that itself."""
    decided = ("--ssl-", "--tls-", "--insecure-bind", "--proxy-protocol")
    if not OVER_TLS or any(each.startswith(decided) for each in options):
        return ()
    return _tls_options() if all(re.match(r"[0-9.:[]", each) for each in bind) else ()


class Server:
    """`python -m ianus`, by default with an application of tests/e2e/apps.py.

    addresses: its listening sockets, in the order of --bind: (host, port) or the path of a Unix socket.
    log: its standard error. output: its standard output, the access log.
    may_lose_workers: a test wants it; else one that exits without a request to do so is a failure.
    """

    may_lose_workers = False

    def __init__(
        self,
        app: str = "apps:app",
        *options: str,
        cwd: Path,
        app_dir: Path = APPS,
        bind: Sequence[str] = ("127.0.0.1:0",),
        files: int = 0,
        pass_fds: Sequence[int] = (),
        launcher: Sequence[str] = (),
        stdout: int = subprocess.PIPE,
    ) -> None:
        """files: limit of open files (RLIMIT_NOFILE), 0 for that of the tests. launcher: a command that executes the
        one after it."""
        arguments = [part for address in bind for part in ("--bind", address)]
        tls = _add_tls(options, bind)
        self.process = subprocess.Popen(
            [
                *launcher,
                sys.executable,
                "-P",
                "-m",
                "ianus",
                "--app-dir",
                str(app_dir),
                *arguments,
                *tls,
                *options,
                app,
            ],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            pass_fds=pass_fds,
        )
        if files:
            resource.prlimit(self.process.pid, resource.RLIMIT_NOFILE, (files, files))
        assert self.process.stderr is not None
        self.log = Output(self.process.stderr)
        self.output = Output(self.process.stdout) if self.process.stdout is not None else None
        try:
            banner = self.log.wait_for(r" serves .* on (.*); (?:loop|threads) ")
        except AssertionError:
            self.kill()
            raise
        self.addresses = [parse_address(text) for text in banner[1].split(", ")]
        if tls:
            self.addresses = [each if isinstance(each, str) else TlsAddress(each) for each in self.addresses]

    @property
    def address(self) -> Address:
        return self.addresses[0]

    def children(self) -> list[int]:
        """The supervisor's processes, the oldest first."""
        supervisor = self.process.pid
        return [int(each) for each in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()]

    @property
    def pid(self) -> int:
        """The process that serves: the first worker's."""
        return self.children()[0]

    def connect(self, *, timeout: float = WAIT_SECONDS) -> "Client":
        return Client(self.address, timeout=timeout)

    def get(self, path: str = "/hello", *fields: bytes) -> "Response":
        """One request on a connection of its own."""
        with self.connect() as client:
            return client.get(path, b"Connection: close", *fields)

    def app_log(self, what: str, since: int = 0) -> str:
        """Waits for a line that the application reports (apps.report) and returns the rest of it."""
        return self.log.wait_for(rf"^app: {what}(?:: (.*))?$", since)[1]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        """Waits for the end of the process and of its output; returns the exit code."""
        code = self.process.wait(WAIT_SECONDS)
        self.log.join()
        if self.output is not None:
            self.output.join()
        return code

    def stop(self) -> None:
        """Ends the process as an operator would. Raises AssertionError for another exit code than 0."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            code = self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the server does not stop:\n{self.log.text}") from None
        assert code == 0, f"exit code {code}:\n{self.log.text}"

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def resident(self) -> int:
        """Bytes of memory that are this process's own."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return 1024 * sum(int(size) for size in re.findall(r"^Private_\w+: +(\d+) kB$", rollup, re.MULTILINE))

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


# Messages of the supervisor about a worker that exited without a request to do so.
LOST_WORKER = (
    r"worker (?:exited (?:unexpectedly|while stopping) \(|failed to start \([^)]*\), next|\d+ \(pid \d+\) is stuck)"
)


def check_no_leaks(server: Server) -> None:
    """Asserts that an exited server leaked nothing, as far as a debug build counts, but calls that
    could not be ended; that no worker was lost; and that wsgiref.validate had nothing to complain of."""
    calls = re.findall(r"WARNING WSGI calls still running: (\d+)$", server.log.text, re.MULTILINE)
    for told in re.findall(r"^app: alive: (.*)$", server.log.text, re.MULTILINE):
        left = json.loads(told)
        assert not left.get("connections"), f"connections are left: {left}"
        assert left.get("exchanges", 0) <= sum(map(int, calls)), f"exchanges are left: {left}"
    assert server.may_lose_workers or not re.search(LOST_WORKER, server.log.text), (
        f"a worker was lost:\n{server.log.text}"
    )
    assert ", in assert_\n" not in server.log.text, f"wsgiref.validate complains:\n{server.log.text}"
    assert "garbage collected without being closed" not in server.log.text


def url_of(address: Address, path: str = "", scheme: str = "http") -> str:
    """Returns the URL of a path at an address. scheme: "http" or "ws", to which TLS adds its letter."""
    return f"{scheme}{'s' if isinstance(address, TlsAddress) else ''}://{address[0]}:{address[1]}{path}"


def accepts(path: Path) -> bool:
    """Returns whether the Unix socket accepts connections, by one of them. Its file exists a moment before."""
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def tls_of_threads(address: Address) -> ssl.SSLContext | None:
    """Returns the TLS of a client that reads in one thread and writes in another; None for a plain address.

    Python's sockets must not be used so: with TLS 1.3, which has records that both SSL_read and SSL_write handle, a
    request or its response can get lost in the client, with any server.
    """
    if not isinstance(address, TlsAddress):
        return None
    context = ssl.create_default_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def stop_all(servers: Iterable[Server], check: Callable[[Server], None]) -> None:
    """Stops servers, a few at a time since they mainly wait, and then looks at each with `check`. Raises an
    ExceptionGroup of the AssertionErrors."""

    def stop(server: Server) -> AssertionError | None:
        try:
            server.stop()
            check(server)
        except AssertionError as problem:
            return problem
        return None

    with ThreadPoolExecutor(4) as pool:
        problems = [problem for problem in pool.map(stop, servers) if problem is not None]
    if problems:
        raise ExceptionGroup("servers ended badly", problems)


def parse_address(text: str) -> Address:
    if text.startswith("unix:"):
        return text.removeprefix("unix:")
    found = re.fullmatch(r"https?://(?:\[([^]]+)\]|([^:]+)):(\d+)", text)
    assert found is not None, f"address in the banner: {text!r}"
    return found[1] or found[2], int(found[3])


# --- The client ---


@dataclass(frozen=True)
class Response:
    """A response as it was on the wire.

    headers: (name in lower case, value) in order. framing: the end of the body: "none" (there cannot be one),
    "length", "chunked" or "close". trailers: fields after the last chunk.
    """

    version: str
    status: int
    reason: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    framing: str
    chunks: list[bytes] = field(default_factory=list)
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)

    def header(self, name: bytes) -> bytes | None:
        """The value of a field that may be there once."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, f"{name!r} is there {len(values)} times"
        return values[0] if values else None

    @property
    def closing(self) -> bool:
        """Whether the response announces the end of the connection."""
        return self.header(b"connection") == b"close"


class Client:
    """A socket with a parser. Reading raises TimeoutError when nothing arrives, AssertionError for nonsense."""

    def __init__(self, address: Address, *, timeout: float = WAIT_SECONDS, buffer: int = 0) -> None:
        """buffer: size of the receive buffer in bytes, set before connecting; 0 for the system's."""
        family = (
            socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        )
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        if buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.settimeout(timeout)
        try:
            self.sock.connect(address)
        except OSError:
            self.sock.close()
            raise
        if family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if isinstance(address, TlsAddress):
            from tests.tls_socket import TlsSocket

            try:
                self.sock = TlsSocket(self.sock)  # type: ignore[assignment]
            except BaseException:
                self.sock.close()
                raise
        self._data = b""
        self.trailers: list[tuple[bytes, bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- Sending ---

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def request(self, path: str = "/hello", *fields: bytes, method: str = "GET", version: str = "1.1") -> None:
        """Sends the head of a request."""
        lines = [f"{method} {path} HTTP/{version}".encode(), b"Host: test", *fields, b"", b""]
        self.send(b"\r\n".join(lines))

    def finish(self) -> None:
        """No more will be sent (FIN)."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Breaks the connection (RST)."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    # --- Reading ---

    def get(self, path: str = "/hello", *fields: bytes, version: str = "1.1") -> Response:
        self.request(path, *fields, version=version)
        return self.response()

    def post(self, path: str, body: bytes, *fields: bytes) -> Response:
        self.request(path, b"Content-Length: %d" % len(body), *fields, method="POST")
        self.send(body)
        return self.response()

    def response(self, method: str = "GET") -> Response:
        """Reads the next response, interim ones included."""
        version, status, reason, headers = self.head()
        lengths = [value for name, value in headers if name == b"content-length"]
        codings = [value for name, value in headers if name == b"transfer-encoding"]
        assert not (lengths and codings), "both Content-Length and Transfer-Encoding"
        assert len(lengths) <= 1, "more than one Content-Length"
        assert not (codings and (version == "1.0" or status < 200 or status == 204)), "no Transfer-Encoding here"
        body, chunks, self.trailers = b"", [], []
        # RFC 9112 6.3, in its order.
        if method == "HEAD" or status < 200 or status in (204, 304):
            framing = "none"
        elif codings:
            assert codings == [b"chunked"]
            framing = "chunked"
            chunks = list(self._chunks())
            body = b"".join(chunks)
        elif lengths:
            assert re.fullmatch(rb"[0-9]+", lengths[0])
            framing = "length"
            body = self.exactly(int(lengths[0]))
        else:
            framing = "close"
            body = self.rest()
        return Response(version, status, reason, headers, body, framing, chunks, self.trailers)

    def head(self) -> tuple[str, int, str, list[tuple[bytes, bytes]]]:
        """Reads a head: version, status, reason, fields."""
        status_line = re.fullmatch(rb"HTTP/(1\.[01]) ([0-9]{3}) ([\t\x20-\x7e]*)", self._line())
        assert status_line is not None
        headers = list(self._fields())
        return status_line[1].decode(), int(status_line[2]), status_line[3].decode(), headers

    def rest(self) -> bytes:
        """Everything until the server closes."""
        data, self._data = self._data, b""
        while more := self.sock.recv(65536):
            data += more
        return data

    def exactly(self, size: int) -> bytes:
        """Reads `size` bytes, of a body for example."""
        pieces = [self._data[:size]]
        self._data = self._data[size:]
        size -= len(pieces[0])
        while size:
            pieces.append(self.sock.recv(min(size, 1 << 20)))
            assert pieces[-1], "the server closed inside a body"
            size -= len(pieces[-1])
        return b"".join(pieces)

    def chunk(self) -> bytes:
        """Reads one chunk of a body; b"" is the end of it, with the trailers after it."""
        size = self._line()
        assert re.fullmatch(rb"[0-9A-Fa-f]+", size), f"chunk size {size!r}"
        data = self.exactly(int(size, 16))
        if not data:
            self.trailers = list(self._fields())
        else:
            assert self.exactly(2) == b"\r\n"
        return data

    def nothing(self) -> bool:
        """Whether the server has closed in order, without another byte."""
        return self.rest() == b""

    def gone(self) -> bool:
        """Whether the connection is over, in order or not, with or without more data."""
        try:
            self.rest()
        except ConnectionError:
            pass
        return True

    def silent(self, seconds: float = 0.2) -> bool:
        """Whether nothing arrives for a while: weak by nature, so a test needs a stronger assertion too."""
        if self._data:
            return False
        self.sock.settimeout(seconds)
        try:
            self._data = self.sock.recv(65536)
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(WAIT_SECONDS)
        return False

    def _chunks(self) -> Iterator[bytes]:
        while data := self.chunk():
            yield data

    def _fields(self) -> Iterator[tuple[bytes, bytes]]:
        while line := self._line():
            found = re.fullmatch(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ?([\t\x20-\x7e\x80-\xff]*)", line)
            assert found is not None, f"field line {line!r}"
            yield found[1].lower(), found[2]

    def _line(self) -> bytes:
        while b"\r\n" not in self._data:
            self._more()
        line, _, self._data = self._data.partition(b"\r\n")
        assert b"\n" not in line
        assert b"\r" not in line
        return line

    def _more(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError(f"the server closed after {self._data!r}")
        self._data += data


class Gate:
    """A named pipe at which applications wait: no request is needed to open it. `target` is that of one that does."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self._pipe = os.open(path, os.O_RDWR)
        self.path = str(path)
        self.target = f"/hold?{quote(self.path)}"

    def open(self, count: int = 1) -> None:
        """Releases `count` waiting applications."""
        os.write(self._pipe, b"x" * count)

    def close(self) -> None:
        """Releases all applications that still wait."""
        os.close(self._pipe)


@contextlib.contextmanager
def many(count: int, make: Callable[[], Any]) -> Iterator[list[Any]]:
    """`count` things that are closed in the end."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(make())) for _ in range(count)]
