"""Serving anew whenever a file changes: for developers.

This process holds the listening sockets and watches files; another one (child.py) serves. When nothing has changed for
--reload-delay seconds after a change, that one is stopped and the next is started. One that cannot start, or that
crashes, has told why, and the next change starts another.
"""
# ruff: noqa: PTH100, PTH112, PTH116  (pathlib takes 5 ms to import)

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatch
from types import FrameType
from typing import Any

from ianus.errors import StartupError
from ianus.process.child import Child
from ianus.process.resources import open_listeners, open_log
from ianus.settings.schema import Settings
from ianus.telemetry.logs import apply_config

logger = logging.getLogger("ianus.error")

# Directories in which nobody edits the application, beside those whose names begin with a dot.
IGNORED = ("__pycache__", "node_modules", "site-packages")

# Seconds that requests in flight get: a developer waits for the next start.
GRACE = 1.0

# Milliseconds between two looks at signals and at what has changed.
STEP = 50


def run(app: Any, settings: Settings) -> int:
    """Serves `app`, a "MODULE:ATTR", until a signal asks to stop. Returns the exit code.

    Raises StartupError where serving cannot begin.
    """
    watched = prepare(app, settings)
    with contextlib.ExitStack() as stack:
        if settings.log_config:
            apply_config(settings.log_config)
        listeners = open_listeners(settings)
        for listener in listeners:
            stack.callback(listener.close)
        stack.callback(open_log(settings).close)
        grace = min(settings.timeout_graceful_shutdown or GRACE, GRACE)
        child = Child(app, replace(settings, timeout_graceful_shutdown=grace), listeners)
        stopping = threading.Event()
        stack.callback(_handle_signals(child, stopping))
        stack.callback(child.stop)
        logger.info("watching %s for changes, pid %d", ", ".join(watched.directories), os.getpid())
        child.start()
        try:
            _reload(child, _watch(watched, settings.reload_delay, stopping), stopping)
        except OSError as error:  # of the system's limit on watches, for example
            raise StartupError(
                f"The files cannot be watched: {error}. Watch fewer directories with --reload-dir, or let "
                "watchfiles look at them time and again with WATCHFILES_FORCE_POLLING=1 in the environment."
            ) from None
    return 0


def prepare(app: Any, settings: Settings) -> "Watched":
    """What is to be watched. Raises StartupError where that, or starting `app` anew, cannot be done."""
    if not all(isinstance(each, str) for each in (app, *(mount.app for mount in settings.mount))):
        raise StartupError('An application can be reloaded where it is given by name, as in ianus.run("main:app").')
    try:
        import watchfiles  # noqa: F401
    except ImportError:
        raise StartupError(
            "--reload needs watchfiles. Install it (pip install watchfiles), or restart the server yourself."
        ) from None
    return Watched(settings.reload_dir or (settings.app_dir,), settings.reload_include, settings.reload_exclude)


def _watch(watched: "Watched", delay: float, stopping: threading.Event) -> Iterator[set[str]]:
    """The files that have changed, time and again; an empty set where none has for `delay` seconds.

    The system watches a directory, not its name: when another one has got the name, as some version control systems
    and build tools do it, that one is watched from then on, and counts as changed.
    """
    import watchfiles

    while True:
        seen = watched.identities()
        for several in watchfiles.watch(
            *watched.directories,
            watch_filter=watched,
            stop_event=stopping,
            step=STEP,
            rust_timeout=max(STEP, int(delay * 1000)),
            yield_on_timeout=True,
            ignore_permission_denied=True,
        ):
            yield {path for _, path in several}
            if not several and (now := watched.identities()) != seen and None not in now:
                break
        else:
            return
        yield set(watched.directories)


def _reload(child: Child, changes: Iterable[set[str]], stopping: threading.Event) -> None:
    """Starts a new worker when an empty set of changes follows others. Ends with `changes`."""
    changed: set[str] = set()
    served = True
    for several in changes:
        changed |= several
        if several:
            continue  # There may be more, of an editor or of a version control system.
        if changed:
            names = sorted(map(_shown, changed))
            logger.info("changed: %s%s", ", ".join(names[:3]), f" and {len(names) - 3} more" if names[3:] else "")
            changed = set()
            child.stop(restarts=True)
            if stopping.is_set():
                return
            child.start()
            served = True
        elif served and (code := child.poll()) is not None:
            logger.info("the server has ended (exit code %d); the next change starts it again", code)
            served = False


def _shown(path: str) -> str:
    try:
        return os.path.relpath(path)
    except OSError:  # The current directory was removed.
        return path


def _handle_signals(child: Child, stopping: threading.Event) -> Callable[[], None]:
    """Lets TERM, INT and QUIT end both processes, as urgently as signals.py has it. Returns what undoes it."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        # A terminal sends INT to both.
        is_quick = number == signal.SIGQUIT or (number == signal.SIGINT and stopping.is_set())
        stopping.set()
        child.ask(signal.SIGQUIT if is_quick else signal.SIGTERM)

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    return restore


class Watched:
    """Which files count, as a filter for watchfiles.

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

    def __call__(self, change: object, path: str) -> bool:
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
