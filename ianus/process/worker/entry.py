"""The entry points of a worker process, which the supervisor calls in a forked child."""

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING

from ianus.acceptor.listener import listen_fd
from ianus.errors import StartupError, ThreadLimitError
from ianus.hooks import ServerInfo, WorkerInfo
from ianus.process.after_fork import set_handler
from ianus.process.failures import write_crash, write_failed_start
from ianus.process.fork import ignore
from ianus.process.hooks import Hooks
from ianus.process.privileges import Identity, assume
from ianus.process.resources import open_log
from ianus.process.scoreboard import Scoreboard
from ianus.process.start_reports import record_stacks
from ianus.process.title import name_process
from ianus.process.tls_files import TlsFiles
from ianus.process.transfer_queue import TransferQueue
from ianus.process.worker_spec import SupervisorLink, WorkerSpec
from ianus.settings.gunicorn_view import GunicornView
from ianus.settings.schema import Settings
from ianus.telemetry.logs import apply_config

if TYPE_CHECKING:
    from ianus.gateway.loading.loader import Application


# Maximum time for threads of an application that failed to start, or has ended its worker.
FAILED_SECONDS = 2.0


def preload(
    app: str, settings: Settings, identity: Identity | None, scoreboard: Scoreboard
) -> "tuple[Application, ...]":
    """Loads the applications and modules in the template process, from which workers are forked. Raises StartupError.

    scoreboard: of this process, for its stacks.
    """
    record_stacks(scoreboard)
    name_process(settings, "template")
    if identity is not None:
        assume(identity)
    if settings.log_config:
        apply_config(settings.log_config, settings.app_dir)
    from ianus.process import serve
    from ianus.process.worker import stack
    from ianus.process.worker.worker import load_applications

    apps = load_applications(app, settings)
    stack.import_compiled_modules(apps, settings)
    serve.load_loop(settings.loop, apps)
    return apps


def serve_preloaded(
    app: str,
    settings: Settings,
    hooks: Hooks,
    server: ServerInfo,
    tls: TlsFiles | None,
    template: Scoreboard,
    apps: "tuple[Application, ...]",
    slot: int,
    fds: list[int],
    plain: int,
) -> int:
    """Runs a worker that was forked from the template process, after preload(). Returns its exit code.

    template: the scoreboard of the template. fds: scoreboard, lifeline, channel, the three of the
    transfer queue, listeners. plain: the number of the last listeners, which are without TLS.
    """
    scoreboard, lifeline, channel, writer, reader, memory, *listening = fds
    listeners = [listen_fd(fd) for fd in listening]
    for listener in listeners[: len(listeners) - plain]:
        listener.is_tls = True
    info = WorkerInfo(pid=os.getpid(), slot=slot + 1, started=time.time(), cfg=GunicornView(settings))
    link = SupervisorLink(slot, Scoreboard(scoreboard), lifeline, channel, TransferQueue((writer, reader), memory))
    record_stacks(link.scoreboard)
    template.close()
    return serve(WorkerSpec(app, settings, listeners, link, None, hooks, server, lambda: info, apps, tls))


def _explain(error: ImportError, settings: Settings) -> StartupError:
    """Returns the reason why the server's own modules cannot be loaded."""
    return StartupError(
        f"The user {settings.user} cannot load Python's modules ({error}). Let that user read {sys.prefix} and "
        f"{sys.base_prefix}, with all directories above them."
    )


def serve(spec: WorkerSpec) -> int:
    """Runs a worker. Returns its exit code; if it cannot start, the reason is logged."""
    name_process(spec.settings, f"worker {spec.link.slot + 1}")
    record_stacks(spec.link.scoreboard)
    info = spec.worker_info()
    spec = spec._replace(worker_info=lambda: info)  # one object, to which hooks may add attributes
    from ianus.process.worker.exit import HANDLED_SIGNALS, Ending, Exit  # The supervisor does not load it.

    try:
        if spec.identity is not None:
            assume(spec.identity)
        if spec.hooks.has("post_fork"):
            # The supervisor's log is closed here, and serve() opens another one when the application is loaded.
            with contextlib.closing(open_log(spec.settings, warns=False)):
                spec.hooks.call("post_fork", spec.server_info, info)
        try:
            from ianus.process import serve as serving  # The supervisor does not load it, nor the modules below.
        except ImportError as error:
            if not spec.settings.user:
                raise
            raise _explain(error, spec.settings) from None
        ending = serving.serve(spec)
        spec.end()
    except StartupError as error:
        if isinstance(error, ThreadLimitError) and not error.details:
            # The limit is that of all workers, so the supervisor logs this once.
            spec.link.notify("refused", error.message)
        else:
            write_failed_start(error, spec.settings, f"worker {spec.link.slot + 1}")
        ending = Ending(error.exit_code, FAILED_SECONDS)
    except SystemExit as error:  # of the application, in a callback of the loop
        ending = Ending(error.code if isinstance(error.code, int) else bool(error.code), FAILED_SECONDS)
    except Exception as error:
        write_crash(error, spec.settings, f"worker {spec.link.slot + 1} (pid {os.getpid()})")
        ending = Ending(1, FAILED_SECONDS)
    # The process is exiting: another signal must not change its exit code.
    set_handler(HANDLED_SIGNALS, ignore)
    return Exit(ending).run()
