"""A server under measurement: started on a core of its own, read through /proc, and gone afterwards.

Each server gets a session of its own. The members of that session are the server, all processes it forks, and the
only processes that are ever signalled.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

START_TIMEOUT_SECONDS = 15.0  # seconds, until the first answer
STOP_TIMEOUT_SECONDS = 2.0  # seconds from SIGTERM to SIGKILL, and from SIGKILL to an error
PROC = Path("/proc")


class ServerError(Exception):
    """Why a server could not be measured: it exited, never answered, or lacks the feature of the scenario."""


@dataclass(frozen=True)
class Cores:
    """The core that the server gets and the one that makes the load; the same if there is only one."""

    server: int
    load: int


def choose_cores() -> Cores:
    """The last core for the server: the first one tends to have the interrupts."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(server=usable[-1], load=usable[0])


@contextmanager
def pinned(*cores: int) -> Iterator[None]:
    """Processes started inside run on these cores and stay there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Process:
    """A running server: the process that was started and all that it forks.

    ``log`` gets stdout and stderr; None throws them away.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        cores: Collection[int],
        folder: Path,
        log: Path | None,
    ) -> None:
        self._log = log
        with Path(log or os.devnull).open("wb") as output, pinned(*cores):
            self._process = subprocess.Popen(
                command,
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> "Process":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def members(self) -> frozenset[int]:
        """All processes of the server that run now."""
        pids = (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
        return frozenset(pid for pid in pids if _session(pid) == self._process.pid)

    def require_alive(self, members: frozenset[int] = frozenset()) -> None:
        """Raises ServerError if the started process, or one of ``members``, has exited."""
        code = self._process.poll()
        if code is not None:
            end = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            raise ServerError(f"ended with {end}: {self.output_tail()}")
        if members - self.members():
            raise ServerError(f"a worker ended: {self.output_tail()}")

    def output_tail(self) -> str:
        """Returns the last line of output, to explain a missing result."""
        lines = self._log.read_text(errors="replace").strip().splitlines() if self._log else []
        return lines[-1].strip()[:200] if lines else "no output"

    def cpu_ns(self) -> int:
        """User and system time since the start of all members, ended threads included, in nanoseconds."""
        return sum(_cpu_clock(pid) for pid in self.members())

    def pss_bytes(self) -> int:
        """Memory of all members: private pages plus the fair share of the shared ones."""
        return 1024 * sum(_field(PROC / str(pid) / "smaps_rollup", "Pss") for pid in self.members())

    def anonymous_bytes(self) -> int:
        """Returns the anonymous part of that, which other processes' starts and exits do not change."""
        return 1024 * sum(_field(PROC / str(pid) / "smaps_rollup", "Pss_Anon") for pid in self.members())

    def reset_peak(self) -> int:
        """Forgets the highest resident memory so far; the present one of all members, in bytes."""
        for pid in self.members():
            (PROC / str(pid) / "clear_refs").write_text("5")
        return self.peak_bytes()

    def peak_bytes(self) -> int:
        """The highest resident memory of all members, each at its own time."""
        return 1024 * sum(_field(PROC / str(pid) / "status", "VmHWM") for pid in self.members())

    def wakeups(self) -> int:
        """How often any thread of any member went to sleep of its own accord; it woke as often."""
        tasks = (task for pid in self.members() for task in (PROC / str(pid) / "task").iterdir())
        return sum(_field(task / "status", "voluntary_ctxt_switches") for task in tasks)

    def stop(self) -> None:
        """Ends all members, the polite way first; ServerError when that does not help."""
        try:
            self._signal(signal.SIGTERM)
            self._wait_until_exited()
        finally:  # a second Ctrl-C must not keep processes running
            self._signal(signal.SIGKILL)
            self._wait_until_exited()
        if self.members():
            raise ServerError("does not end, not even when killed")

    def _wait_until_exited(self) -> None:
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            self._process.poll()  # reaps it
            if not self.members():
                return
            time.sleep(0.01)

    def _signal(self, number: signal.Signals) -> None:
        for pid in self.members():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass


def core_busy_ns(cores: Cores) -> int:
    """Returns the busy time of both cores since boot, in nanoseconds (in steps of a clock tick)."""
    tick_ns = 10**9 // os.sysconf("SC_CLK_TCK")
    names = {f"cpu{cores.server}", f"cpu{cores.load}"}
    total = 0
    for line in (PROC / "stat").read_text().splitlines():
        name, *values = line.split()
        if name in names:
            user, nice, system, _idle, _iowait, interrupts, soft_interrupts, steal = map(int, values[:8])
            total += user + nice + system + interrupts + soft_interrupts + steal
    return total * tick_ns


def _cpu_clock(pid: int) -> int:
    # clock_getcpuclockid(3): the complement of the pid in the upper bits, 2 for scheduler time. Unlike
    # /proc/PID/stat it counts nanoseconds, unlike /proc/PID/schedstat all threads.
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        return 0


def _session(pid: int) -> int:
    """The session of a living process; 0 when it has ended."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return 0
    state, _parent, _group, session = stat.rpartition(")")[2].split()[:4]
    return 0 if state in "ZX" else int(session)


def _field(path: Path, name: str) -> int:
    try:
        found = re.search(rf"^{name}:\s+(\d+)", path.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0
