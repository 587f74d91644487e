"""A worker in a process of its own, on listening sockets that its parent keeps open.

Facts and rules:
- Connections wait in the backlog while no child serves: to a client a restart is a slow answer, never a refusal.
- The child is a new interpreter and no fork: it loads all code anew, and no thread of the parent's is missing in it.
- What it is to do comes through a pipe. The parent holds the other end as long as it lives, so that the end of the
  file means the end of the parent, whatever ended it; then the child goes too.
- A child that is to end is asked more and more urgently. It never outlasts GRACE and HASTENING, event streams or not.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import NoReturn

from ianus.acceptor.listener import Listener
from ianus.errors import StartupError
from ianus.settings.schema import Settings, table
from ianus.settings.values import FdBind

# A child that is asked to end has so many seconds, and then these signals and seconds to obey each.
GRACE = 2.0
HASTENING = ((signal.SIGQUIT, 10.0), (signal.SIGKILL, None))

COMMAND = "import sys; sys.path[:] = {path!r}; from ianus.process.child import main; main({pipe})"


class Child:
    """One worker after the other, the same application on the same sockets.

    app: "MODULE:ATTR". listeners: their owner's.
    """

    def __init__(self, app: str, settings: Settings, listeners: list[Listener]) -> None:
        self._fds = [listener.sock.fileno() for listener in listeners]
        self._settings = replace(settings, bind=tuple(map(FdBind, self._fds)), reload=False)
        self._app = app
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1

    def start(self) -> None:
        """Starts a worker, once there is none."""
        reading, self._lifeline = os.pipe()
        flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        command = COMMAND.format(path=sys.path, pipe=reading)
        try:
            self._process = subprocess.Popen([sys.executable, *flags, "-c", command], pass_fds=[reading, *self._fds])
        finally:
            os.close(reading)
        try:
            os.write(self._lifeline, json.dumps([sys.argv, self._app, _as_texts(self._settings)]).encode() + b"\n")
        except BrokenPipeError:
            pass  # It has ended already, as poll() will tell.

    def poll(self) -> int | None:
        """The exit code of a worker that has ended, as of subprocess.Popen; None while it runs."""
        return None if self._process is None else self._process.poll()

    def ask(self, number: signal.Signals) -> None:
        """Sends a signal to the worker, if there is one."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self, *, restarts: bool = False) -> None:
        """Ends the worker, if there is one. restarts: another one follows."""
        if self._process is None:
            return
        first = signal.SIGUSR2 if restarts else signal.SIGTERM
        for number, patience in ((first, GRACE), *HASTENING):
            self._process.send_signal(number)
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
            break
        self._process = None
        os.close(self._lifeline)


def _as_texts(settings: Settings) -> dict[str, list[str] | str]:
    texts = {name: (setting, setting.texts(getattr(settings, name))) for name, setting, _ in table()}
    return {
        name: several if setting.many else several[0]
        for name, (setting, several) in texts.items()
        if several or setting.many
    }


# --- The child's side ---


def main(pipe: int) -> NoReturn:
    """Serves as the parent at the other end of `pipe` says. Exits with the code that the command would have."""
    os.set_inheritable(pipe, False)
    with open(pipe, "rb", closefd=False) as file:
        sys.argv, app, texts = json.loads(file.readline())
    threading.Thread(target=_end_with_parent, args=(pipe,), name="ianus-lifeline", daemon=True).start()
    try:
        from ianus.process.start import start

        code = start(app, Settings.from_values(texts), hard_exit=True)
    except StartupError as error:
        sys.stderr.write(error.report())
        code = error.exit_code
    except KeyboardInterrupt:  # ^C before the signal handlers stand
        code = 130
    sys.exit(code)


def _end_with_parent(pipe: int) -> None:
    os.read(pipe, 1)
    for number, patience in ((signal.SIGTERM, GRACE), *HASTENING):
        os.kill(os.getpid(), number)
        time.sleep(patience or 0)
