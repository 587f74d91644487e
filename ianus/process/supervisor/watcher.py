"""--reload: a process that watches files, and reports changes to the supervisor.

watchfiles has threads, and a process with threads must not fork workers; so it is imported in a child of its own. The
child reports lines in a pipe: `watching`, then `changed main.py, views.py and 3 more` when no file has changed for
--reload-delay seconds after a change; `polling` and the reason, if the system's limits prevent watching; and
`failed` and the reason before it exits by a failure. Only the supervisor ends the process: by closing the pipe, or by
its own end, even by SIGKILL.
"""
# ruff: noqa: PTH100, PTH118  (pathlib takes 5 ms to import)

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from ianus.errors import StartupError, one_line
from ianus.gateway.loading.target import search_folder
from ianus.process.fork import fork, ignore_stop_signals
from ianus.process.supervisor.watched import Tree, Watched, editable_directories
from ianus.settings.schema import Settings
from ianus.telemetry.formatters import escape
from ianus.telemetry.logger import logger

# Maximum time of a stop: a developer waits for the next start.
MAX_STOP_SECONDS = 5.0

# Seconds between two checks for changes; and if each check reads all files.
STEP_SECONDS = 0.05
POLL_SECONDS = 0.3


def prepare(app: str, settings: Settings) -> "Watched":
    """Returns the files to watch, for the application `app`. Raises StartupError if they cannot be watched."""
    import importlib.util

    if importlib.util.find_spec("watchfiles") is None:
        raise StartupError(
            "--reload needs watchfiles. Install it (pip install watchfiles), or restart the server yourself."
        )
    directories = settings.reload_dir or (*_folders(app, settings), *editable_directories())
    return Watched(directories, settings.reload_include, settings.reload_exclude)


def _folders(app: str, settings: Settings) -> list[str]:
    """Returns the folder of --app-dir, and those of applications that are named as files elsewhere."""
    folders = [os.path.abspath(settings.app_dir)]
    for each in (app, *(mount.app for mount in settings.mount)):
        folder = search_folder(each, settings.app_dir)
        if not any(os.path.join(folder, "").startswith(os.path.join(known, "")) for known in folders):
            folders.append(folder)
    return folders


def with_short_shutdown(settings: Settings) -> Settings:
    """Returns settings for workers that are replaced after each change of a file, and may be in a debugger."""
    total = min(settings.timeout_stop or MAX_STOP_SECONDS, MAX_STOP_SECONDS)
    # The lifespan shutdown has half of it; requests about a second.
    return replace(
        settings,
        timeout_stop=total,
        timeout_lifespan_shutdown=total / 2,
        drain_delay=0.0,
        ws_drain_spread=0.0,
        timeout=0.0,
    )


# --- The supervisor's side ---


class Watcher:
    """The process that watches files, from the return of the constructor. Raises StartupError if it cannot.

    close_supervisor_files: called in it first; closes the supervisor's descriptors.
    fd: readable when there is something to read(). pid: a child of this process; the code that reaps it sets it to 0.
    is_polling: it looks at all files periodically, since the system does not report changes.
    """

    def __init__(self, watched: Watched, reload_delay: float, close_supervisor_files: Callable[[], None]) -> None:
        """reload_delay: seconds without a change after which changes are reported. Raises Forked in the new process."""
        self.fd, report_fd = os.pipe()
        self._partial_line = b""
        self._is_open = True
        self.is_polling = False

        def close_inherited() -> None:
            close_supervisor_files()
            self.close_in_child()

        self.pid = fork(partial(_run, watched, reload_delay, report_fd, os.getpid()), close_inherited)
        os.close(report_fd)
        try:
            # Changes are noticed from here on: no module of the application has been loaded yet.
            self.read()
        except BaseException:
            self.close()
            raise

    def read(self) -> list[str]:
        """Returns the reports of changes, as text for users; waits for a line if there is none.

        Raises StartupError when nothing is watched any more.
        """
        data = os.read(self.fd, 65536)
        *lines, self._partial_line = (self._partial_line + data).split(b"\n")
        reports = [line.decode().partition(" ") for line in lines]
        for kind, _, text in reports:
            if kind == "polling":
                self.is_polling = True
                logger.warning(
                    "cannot watch files, polling them every %g s: %s. Watch fewer directories with --reload-dir, or "
                    "raise fs.inotify.max_user_watches and fs.inotify.max_user_instances with sysctl",
                    POLL_SECONDS,
                    text,
                )
            if kind == "failed":
                raise StartupError(
                    f"The files cannot be watched: {text}. Watch fewer directories with --reload-dir, or let "
                    "watchfiles poll them with WATCHFILES_FORCE_POLLING=1 in the environment."
                )
        if not data:
            raise StartupError("The process that watches the files was killed.")
        return [text for kind, _, text in reports if kind == "changed"]

    def close_in_child(self) -> None:
        """Closes the pipe in a process that was forked since. The process that watches continues."""
        if self._is_open:
            self._is_open = False
            os.close(self.fd)

    def close(self) -> None:
        """Ends the process. May be called twice."""
        if self._is_open:
            self.close_in_child()
            if self.pid:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)


# --- The process ---


def _run(watched: Watched, reload_delay: float, pipe: int, supervisor: int) -> int:
    """Watches as long as the supervisor, a pid, is there. Returns the exit code."""
    ignore_stop_signals()
    try:
        is_ready = False

        def report_polling(error: Exception) -> None:
            os.write(pipe, f"polling {_describe_error(error)}\n".encode())

        for changed in debounced(_watch(watched, report_polling), reload_delay, time.monotonic):
            if os.getppid() != supervisor:
                break
            if not is_ready:
                is_ready = bool(os.write(pipe, b"watching\n"))
            if changed:
                os.write(pipe, f"changed {describe(changed)}\n".encode())
    except BrokenPipeError:
        pass  # The supervisor wants to know no more.
    except Exception as error:  # OSError: of the system's limit on watches, for example.
        os.write(pipe, f"failed {_describe_error(error)}\n".encode())
    return 0


def _describe_error(error: Exception) -> str:
    return escape(str(error) if isinstance(error, OSError) else one_line(error))


def _watch(watched: Watched, report_polling: Callable[[Exception], None]) -> Iterator[set[str]]:
    """The files that have changed, every now and then; an empty set if none has.

    The system watches directories, not names. So when a directory or the target of a link is another one than before,
    as after `git checkout` or the update of a Kubernetes ConfigMap, that counts as a change and is watched from then.
    """
    # Each directory by itself: watchfiles reports no error for those that it finds by itself.
    from watchfiles import Change, watch

    polls = False
    changed: set[str] = set()
    replaced: set[str] = set()
    tree = watched.tree()
    roots = dict(tree.roots)
    while True:
        if not tree.directories:
            time.sleep(STEP_SECONDS)
            yield set()
        try:
            for several in _events(watch, tree, polls=polls):
                yield changed | {path for _, path in several if watched.matches(path)}
                changed = set()
                touched = {path for change, path in several if change != Change.modified}
                # A new directory may have the number of the one that it replaces.
                replaced = touched & tree.directories.keys()
                if replaced or ((touched or watched.roots() != tree.roots) and watched.tree() != tree):
                    break
        except FileNotFoundError:
            if all(map(os.path.isdir, tree.directories)):
                raise  # The cause is not a directory that was removed at this moment.
        except Exception as error:  # OSError, and the library's own class
            if polls:
                raise
            polls = True
            report_polling(error)
        before, tree = tree, watched.tree()
        changed |= tree.differences(before, replaced)
        # A directory that was removed counts once there is another one in its place.
        changed |= {root for root, identity in tree.roots.items() if roots.get(root) != identity}
        roots |= tree.roots


def _events(
    watch: Callable[..., Iterator[set[tuple[Any, str]]]], tree: Tree, *, polls: bool
) -> Iterator[set[tuple[Any, str]]]:
    milliseconds = int(STEP_SECONDS * 1000)
    if not tree.directories:
        return iter(())
    return watch(
        *tree.directories,
        recursive=False,
        watch_filter=None,  # Those that do not count must not hold up the others.
        step=milliseconds,
        rust_timeout=milliseconds,
        yield_on_timeout=True,
        force_polling=True if polls else None,
        poll_delay_ms=int(POLL_SECONDS * 1000),
    )


def debounced(changes: Iterable[set[str]], delay: float, clock: Callable[[], float]) -> Iterator[set[str]]:
    """Yields `changes`, but joins those that follow each other within `delay` seconds of the clock."""
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


def describe(changed: set[str]) -> str:
    """Names for people: `main.py, views.py, urls.py and 2 more`."""
    names = sorted(map(_relative, changed))
    return escape(", ".join(names[:3])) + (f" and {len(names) - 3} more" if names[3:] else "")


def _relative(path: str) -> str:
    try:
        return os.path.relpath(path)
    except OSError:  # The current directory was removed.
        return path
