"""--reload: a process that watches files, and tells the supervisor what has changed.

watchfiles has threads, and a process with threads must not fork workers; so it is imported in a child of its own. What
that has to say are lines in a pipe: `watching`, then `changed main.py, views.py and 3 more` each time nothing has
changed for --reload-delay seconds after a change, and at the end, where it comes to that, `failed` and why. Only the
supervisor ends the process: by closing the pipe, or by its own end, however that came.
"""
# ruff: noqa: PTH100, PTH112, PTH116  (pathlib takes 5 ms to import)

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial

from ianus.errors import StartupError, one_line
from ianus.process.fork import fork, heed_no_stop
from ianus.settings.schema import Settings
from ianus.telemetry.formatters import escape

# Directories in which nobody edits the application, beside those whose names begin with a dot.
IGNORED = ("__pycache__", "node_modules", "site-packages")

# Seconds that requests in flight get: a developer waits for the next start.
GRACE = 1.0

# Seconds between two looks at what has changed.
STEP = 0.05


def prepare(settings: Settings) -> "Watched":
    """What is to be watched. Raises StartupError where that cannot be done."""
    import importlib.util

    if importlib.util.find_spec("watchfiles") is None:
        raise StartupError(
            "--reload needs watchfiles. Install it (pip install watchfiles), or restart the server yourself."
        )
    return Watched(settings.reload_dir or (settings.app_dir,), settings.reload_include, settings.reload_exclude)


def impatient(settings: Settings) -> Settings:
    """The settings of workers that are replaced whenever a file is saved, and in which somebody may be debugging."""
    grace = min(settings.timeout_graceful_shutdown or GRACE, GRACE)
    return replace(settings, timeout_graceful_shutdown=grace, timeout=0.0)


class Watched:
    """Which files count.

    directories: searched with all below. include, exclude: globs of names, or of paths relative to one of them;
    one that excludes a directory excludes what is in it.

    Raises StartupError for a directory that does not exist.
    """

    def __init__(self, directories: Iterable[str], include: Iterable[str], exclude: Iterable[str]) -> None:
        self.directories = [os.path.abspath(each) for each in directories]
        self.include = tuple(include)
        self.exclude = tuple(each.rstrip("/") for each in exclude)
        for each in self.directories:
            if not os.path.isdir(each):
                raise StartupError(f"The directory {each} does not exist, and cannot be watched (--reload-dir).")

    def identities(self) -> list[tuple[int, int] | None]:
        """What has each directory's name now: None is nothing."""
        found: list[tuple[int, int] | None] = []
        for each in self.directories:
            try:
                status = os.stat(each)
                found.append((status.st_dev, status.st_ino))
            except OSError:
                found.append(None)
        return found

    def counts(self, path: str) -> bool:
        """Whether a change of `path` matters."""
        within = max((each for each in self.directories if path.startswith(each + "/")), key=len, default="/")
        parts = os.path.relpath(path, within).split("/")
        # The names of the file and of the directories above it, and their paths.
        names = [*parts, *("/".join(parts[: end + 1]) for end in range(1, len(parts)))]
        if any(part.startswith(".") or part in IGNORED for part in parts[:-1]):
            return False
        if any(fnmatch(name, pattern) for name in names for pattern in self.exclude):
            return False
        return any(fnmatch(name, pattern) for name in (parts[-1], "/".join(parts)) for pattern in self.include)


# --- The supervisor's side ---


class Watcher:
    """The process, which watches when this object is there. Raises StartupError where that cannot be.

    leave: called in it first; lets go of all that is the supervisor's.
    fd: readable when there is something to read(). pid: a child of this process; whoever reaps it sets that to 0.
    """

    def __init__(self, watched: Watched, delay: float, leave: Callable[[], None]) -> None:
        """delay: seconds without a change until the ones before it are told. In the process it raises Forked."""
        self.fd, told = os.pipe()
        self._rest = b""
        self._is_open = True

        def leave_all() -> None:
            leave()
            self.leave()

        self.pid = fork(partial(_run, watched, delay, told, os.getpid()), leave_all)
        os.close(told)
        try:
            # What is changed from here on is noticed: nothing of the application has been loaded yet.
            self.read()
        except BaseException:
            self.close()
            raise

    def read(self) -> list[str]:
        """What has changed, a text for people each time; waits for a line if there is none.

        Raises StartupError when nothing is watched any more.
        """
        data = os.read(self.fd, 65536)
        *lines, self._rest = (self._rest + data).split(b"\n")
        told = [line.decode().partition(" ") for line in lines]
        for kind, _, text in told:
            if kind == "failed":
                raise StartupError(
                    f"The files cannot be watched: {text}. Watch fewer directories with --reload-dir, or let "
                    "watchfiles look at them time and again with WATCHFILES_FORCE_POLLING=1 in the environment."
                )
        if not data:
            raise StartupError("The files are not watched any more: the process that did it was killed.")
        return [text for kind, _, text in told if kind == "changed"]

    def leave(self) -> None:
        """In a process that was forked since: lets go of the pipe."""
        if self._is_open:
            self._is_open = False
            os.close(self.fd)

    def close(self) -> None:
        """Ends the process. May be called twice."""
        if self._is_open:
            self.leave()
            if self.pid:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)


# --- The process ---


def _run(watched: Watched, delay: float, pipe: int, supervisor: int) -> int:
    """Watches as long as the supervisor, a pid, is there. Returns the exit code."""
    heed_no_stop()
    try:
        is_told = False
        for changed in settled(_watch(watched), delay, time.monotonic):
            if os.getppid() != supervisor:
                break
            if not is_told:
                is_told = bool(os.write(pipe, b"watching\n"))
            if changed:
                os.write(pipe, f"changed {shown(changed)}\n".encode())
    except BrokenPipeError:
        pass  # The supervisor wants to know no more.
    except Exception as error:  # OSError: of the system's limit on watches, for example.
        os.write(pipe, f"failed {escape(str(error) if isinstance(error, OSError) else one_line(error))}\n".encode())
    return 0


def _watch(watched: Watched) -> Iterator[set[str]]:
    """The files that have changed, every now and then; an empty set where none has.

    The system watches a directory, not its name: when another one has got the name, as some version control systems
    and build tools do it, that one is watched from then on, and counts as changed.
    """
    from watchfiles import watch

    milliseconds = int(STEP * 1000)
    replaced: set[str] = set()
    while True:
        seen = watched.identities()
        for several in watch(
            *watched.directories,
            watch_filter=None,  # Those that do not count must not hold up the others.
            step=milliseconds,
            rust_timeout=milliseconds,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        ):
            yield replaced | {path for _, path in several if watched.counts(path)}
            replaced = set()
            if not several and (now := watched.identities()) != seen and None not in now:
                break
        replaced = set(watched.directories)


def settled(changes: Iterable[set[str]], delay: float, clock: Callable[[], float]) -> Iterator[set[str]]:
    """As `changes`, but those that follow each other within `delay` seconds of the clock come together, after them."""
    changed: set[str] = set()
    last = 0.0
    for several in changes:
        now = clock()
        if several:
            changed |= several  # There may be more, of an editor or of a version control system.
            last = now
        if changed and now - last >= delay:
            yield changed
            changed = set()
        else:
            yield set()


def shown(changed: set[str]) -> str:
    """Names for people: `main.py, views.py, urls.py and 2 more`."""
    names = sorted(map(_relative, changed))
    return escape(", ".join(names[:3])) + (f" and {len(names) - 3} more" if names[3:] else "")


def _relative(path: str) -> str:
    try:
        return os.path.relpath(path)
    except OSError:  # The current directory was removed.
        return path
