"""Counts the instructions of a running server in user mode, with valgrind's tool callgrind.

A server starts without the count, which is five times as fast. It answers some requests before the count starts from
zero, so that caches are filled.
"""

import os
import shlex
import signal
import socket
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

VALGRIND = ("valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no", "--trace-children=yes", "--vgdb=yes")
# Functions of libc have a variant for each generation of processors, of which all have the first.
TUNABLES = "glibc.cpu.hwcaps=-AVX512F,-AVX2,-AVX2_Usable,-AVX,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM,-BMI2"
SLOW_CLOCK = Path(__file__).with_name("slow_clock.c")
WARM_UP_ROUNDS = 20
SETTLE_SECONDS = 0.2  # before and after the counted rounds, for work that a server does after its answers
TIMEOUT_SECONDS = 120.0  # seconds that a server under valgrind gets for each answer
CONTROL_SECONDS = 30.0  # the same for a command to valgrind


class CountError(Exception):
    """The instructions of a server could not be counted."""


@dataclass(frozen=True)
class Dialogue:
    """The counted requests: `rounds` times the same one on each of the connections.

    is_answer: whether the received bytes are the whole answer. handshake: is sent once on each connection before, if
    there is one. uses_tls: the connections are those of TLS, and any certificate is accepted.
    """

    request: bytes
    is_answer: Callable[[bytearray], bool]
    connections: int
    rounds: int
    handshake: bytes = b""
    uses_tls: bool = False


def valgrind_command(command: Sequence[str], folder: Path) -> list[str]:
    """Returns the command that runs another one under callgrind, which writes its files into the folder."""
    return [*VALGRIND, f"--callgrind-out-file={folder}/out.%p", f"--vgdb-prefix={folder}/vgdb", *command]


def counted_environment() -> dict[str, str]:
    """Returns variables that make counts equal: on each machine, and in each run."""
    return {"PYTHONHASHSEED": "0", "GLIBC_TUNABLES": TUNABLES}  # other hashes are other dictionaries


def slow_clock(folder: Path) -> dict[str, str]:
    """Returns variables that preload a clock as slow as callgrind, for servers that run on CPython."""
    library = folder / "slow_clock.so"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    subprocess.run([*compiler, "-O2", "-Wall", "-shared", "-fPIC", "-o", library, SLOW_CLOCK], check=True)
    return {"LD_PRELOAD": str(library)}


def count_dialogue(
    dialogue: Dialogue, port: int, processes: Collection[int], folder: Path, package: str = ""
) -> Counter[str]:
    """Returns the instructions of all counted requests together, as `instructions_by_module` does."""
    with ExitStack() as stack:
        clients = [stack.enter_context(_connect(port, dialogue.uses_tls)) for _ in range(dialogue.connections)]
        if dialogue.handshake:
            _ask(clients, dialogue.handshake, ends_with(b"\r\n\r\n"), processes)
        if not sum(_control(process, folder, "instrumentation", "on") for process in processes):
            raise CountError("no process of the server runs under valgrind")
        # With the count already, since a server may choose its ways by the time that they take.
        for _ in range(WARM_UP_ROUNDS):
            _ask(clients, dialogue.request, dialogue.is_answer, processes)
        time.sleep(SETTLE_SECONDS)
        for process in processes:
            _control(process, folder, "zero")
        for _ in range(dialogue.rounds):
            _ask(clients, dialogue.request, dialogue.is_answer, processes)
        time.sleep(SETTLE_SECONDS)
        for process in processes:
            _control(process, folder, "dump")
    counts: Counter[str] = Counter()
    for path in folder.glob("out.*.1"):
        with path.open() as profile:
            counts += instructions_by_module(profile, package)
    if not counts:
        raise CountError("callgrind has written no count")
    return counts


def _connect(port: int, uses_tls: bool) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
    if not uses_tls:
        return client
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(client, server_hostname="localhost")


def ends_with(end: bytes) -> Callable[[bytearray], bool]:
    """Returns an `is_answer` for answers whose last bytes are known."""
    return lambda received: received.endswith(end)


def _ask(
    clients: Sequence[socket.socket],
    request: bytes,
    is_answer: Callable[[bytearray], bool],
    processes: Collection[int],
) -> None:
    """Sends a request on each connection, then receives the answer on each."""
    with _stopped(processes if len(clients) > 1 else ()):
        for client in clients:
            client.sendall(request)
    for client in clients:
        received = bytearray()
        while not is_answer(received):
            data = client.recv(1 << 20)
            if not data:
                raise CountError(f"the connection was closed after {bytes(received[:200])!r}")
            received += data


@contextmanager
def _stopped(processes: Collection[int]) -> Iterator[None]:
    """Stops the server, so that all requests of a round are there at once, however fast the client is."""
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        while any(_state(process) not in "TZX" for process in processes):
            time.sleep(0.0002)
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def _state(process: int) -> str:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def _control(process: int, folder: Path, *command: str) -> bool:
    """Sends a command to valgrind; whether it runs that process."""
    arguments = ["vgdb", f"--vgdb-prefix={folder}/vgdb", f"--pid={process}", *command]
    try:
        return subprocess.run(arguments, capture_output=True, timeout=CONTROL_SECONDS).returncode == 0
    except subprocess.TimeoutExpired as error:
        raise CountError(f"valgrind did not respond: {' '.join(command)}") from error


def instructions_by_module(profile: Iterable[str], package: str) -> Counter[str]:
    """Returns the instructions of each compiled module, by its path in the package, and "others" for the rest.

    profile: the lines of a callgrind output file. Its "ob=" lines name the object file of the lines that follow, in
    full or as a number that an earlier line has defined. The line after a "calls=" line has the instructions of the
    called function, which are listed elsewhere.
    """
    counts: Counter[str] = Counter()
    names: dict[str, str] = {}
    module, is_call = "others", False
    for line in profile:
        key, _, value = line.rstrip("\n").partition("=")
        if key in ("ob", "cob"):
            number, _, path = value.partition(" ")
            if path:
                names[number] = path.removeprefix(package) if path.startswith(package) else "others"
            if key == "ob":
                module = names[number]
        elif key == "calls":
            is_call = True
        elif line[0].isdigit() or line[0] in "+-*":  # a position, and the instructions unless there are none
            position_and_count = line.split()
            if not is_call and len(position_and_count) > 1:
                counts[module] += int(position_and_count[1])
            is_call = False
    return counts
