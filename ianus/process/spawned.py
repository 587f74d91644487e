"""Runs a supervisor in another process, for programs that call ianus.run() with settings that need one.

Facts and rules:
- The child is a new interpreter, not a fork: the caller may have threads, and has loaded modules that workers have to
  load again when files change.
- The caller sends the settings through a pipe, and holds its end open as long as it lives. So the end of the file means
  that the caller has exited or crashed; then the child stops too.
- Signals that the caller gets while it waits are passed on.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from ianus.errors import StartupError
from ianus.process.after_fork import set_handler
from ianus.process.run_guard import VARIABLE, check_interpreter
from ianus.settings.schema import Settings, table
from ianus.settings.values import FdBind

# The first argument of a frozen program that becomes a supervisor; the second one is the pipe.
FROZEN_ARGUMENT = "--ianus-supervisor"

COMMAND = "import sys; sys.path[:] = {path!r}; from ianus.process.spawned import main; main({pipe})"


def run(app: str, settings: Settings) -> int:
    """Serves `app`, a "MODULE:ATTR", until a signal asks to stop. Returns the exit code.

    Raises OSError if no process can be started, and StartupError if that would run the calling program again.
    """
    check_interpreter(has_freeze_support=_freezing.is_supported)
    handed = [each.fd for each in settings.all_binds() if isinstance(each, FdBind)]
    reading, lifeline = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, *_arguments(reading)], pass_fds=[reading, *handed], env={**os.environ, VARIABLE: "1"}
        )
    except OSError:
        os.close(lifeline)
        raise
    finally:
        os.close(reading)
    restore = _forward_signals(process)
    try:
        try:
            os.write(lifeline, json.dumps([sys.argv, app, _to_texts(settings)]).encode() + b"\n")
        except BrokenPipeError:
            pass  # It has exited already; wait() returns its exit code.
        return process.wait()
    finally:
        restore()
        os.close(lifeline)


def _arguments(pipe: int) -> list[str]:
    if getattr(sys, "frozen", False):
        return [FROZEN_ARGUMENT, str(pipe)]
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return [*flags, "-c", COMMAND.format(path=sys.path, pipe=pipe)]


def _forward_signals(process: "subprocess.Popen[bytes]") -> Callable[[], None]:
    """Passes signals on to the supervisor. Returns a function that undoes it. Does nothing outside the main thread,
    since Python allows handlers only there."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    interrupted = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if number == signal.SIGINT:
            # A terminal sends it to both processes: the one passed on must not count as a second one.
            number = signal.SIGQUIT if interrupted else signal.SIGTERM
            interrupted = True
        process.send_signal(number)

    handled = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1)
    return set_handler(handled, on_signal)


def _to_texts(settings: Settings) -> dict[str, list[str] | str]:
    texts = {name: (setting, setting.texts(getattr(settings, name))) for name, setting, _ in table()}
    return {
        name: several if setting.repeatable else several[0]
        for name, (setting, several) in texts.items()
        if several or setting.repeatable
    }


# --- The child's side ---


class _Freezing:
    is_supported = False  # freeze_support() was called


_freezing = _Freezing()


def freeze_support() -> None:
    """In a frozen program: serves and does not return, if run() has started it for that."""
    _freezing.is_supported = True
    if sys.argv[1:2] == [FROZEN_ARGUMENT]:
        main(int(sys.argv[2]))


def main(pipe: int) -> NoReturn:
    """Serves with the settings that the caller sends through `pipe`. Exits with the exit code of the command."""
    os.set_inheritable(pipe, False)
    os.environ.pop(VARIABLE, None)
    with open(pipe, "rb", buffering=0, closefd=False) as file:
        sys.argv, app, texts = json.loads(file.readline())
    from ianus.process.supervise import supervise

    settings = Settings.from_values(texts)
    try:
        code = supervise(app, settings, lifeline=pipe)
    except StartupError as error:
        from ianus.process.failures import write_failed_command

        write_failed_command(error, settings)
        code = error.exit_code
    sys.exit(code)
