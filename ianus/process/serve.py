"""Serves in this process: event loop, signals, log and exit code.

A start first does the steps that may fail: addresses are bound before the applications are loaded, and the applications
are loaded before an event loop exists. worker.py does the rest.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Any

from ianus.acceptor.listener import Listener
from ianus.errors import StartupError
from ianus.gateway.loading.loader import Application
from ianus.process.after_fork import close_in_children
from ianus.process.issued_certificates import with_issued_certificates
from ianus.process.open_files import check_worker, raise_limit
from ianus.process.resources import capture_output, open_listeners, open_log
from ianus.process.stop_level import StopLevel
from ianus.process.tls_files import read_tls_files
from ianus.process.worker.application_signals import ApplicationSignals
from ianus.process.worker.exit import HANDLED_SIGNALS, Ending
from ianus.process.worker.liveness import WorkerLiveness
from ianus.process.worker.main_thread import MainThread
from ianus.process.worker.request_hooks import with_request_hooks
from ianus.process.worker.signals import (
    Escalation,
    SignalHandler,
    StopRequest,
    handle_signals,
    reopen_by_signal,
    wake_by_signals,
)
from ianus.process.worker.stack import ServingStack
from ianus.process.worker.stop_clock import StopClock
from ianus.process.worker.tls import ServingTls, open_tls
from ianus.process.worker.worker import (
    CANCEL_SECONDS,
    Worker,
    load_applications,
    serves_asgi,
    serves_wsgi,
)
from ianus.process.worker_spec import WorkerSpec
from ianus.settings.schema import Settings
from ianus.telemetry.logger import fallback, logger
from ianus.telemetry.logs import apply_config

# The exit code that shells make of a process that SIGINT has ended.
INTERRUPTED = 130


def run(app: Any, settings: Settings) -> int:
    """Serves `app` ("MODULE:ATTR" or the application) until a signal stops it. Returns the exit code.

    Raises StartupError if it cannot start.
    """
    raise_limit()
    if settings.tls_auto:
        raise StartupError("--tls-auto needs a process of its own. Name the application as MODULE:ATTRIBUTE.")
    settings = with_issued_certificates(settings, forks=False)
    if settings.log_config:
        apply_config(settings.log_config, settings.app_dir)
    return _serve_on(open_listeners(settings), app, settings, None).code


def serve(spec: WorkerSpec) -> Ending:
    """Serves in a process of a supervisor. The log stays open for the end of the process.

    Raises StartupError if it cannot start.
    """
    if spec.settings.log_config and not spec.apps:  # otherwise done before they were loaded
        apply_config(spec.settings.log_config, spec.settings.app_dir)
    return _serve_on(spec.listeners, spec.app, spec.settings, spec)


def _serve_on(listeners: list[Listener], app: Any, settings: Settings, spec: WorkerSpec | None) -> Ending:
    link = spec.link if spec is not None else None
    transfers = link.transfers if link is not None else None
    with contextlib.ExitStack() as stack:
        for close in [*(each.close for each in listeners), *([transfers.close] if transfers is not None else [])]:
            stack.callback(close)
            stack.callback(close_in_children(close))
        tls = _open_tls(settings, spec)
        liveness = WorkerLiveness(link, settings)
        captured = capture_output(settings) if spec is not None else None
        apps = (spec.apps if spec is not None else ()) or load_applications(app, settings)
        check_worker()
        log = open_log(settings, warns=spec is None)
        stack.push(lambda failure, *_: log.close() if spec is None or failure is not None else None)
        apps = _initialised(apps, spec) if spec is not None else apps
        if settings.switch_interval and serves_wsgi(apps):
            stack.callback(sys.setswitchinterval, sys.getswitchinterval())
            sys.setswitchinterval(settings.switch_interval)
        loop = new_loop(settings.loop, apps)
        stack.callback(loop.close)
        stack.callback(liveness.stop)
        clock = StopClock(settings.stop_budget())
        notify = link.notify if link is not None else clock.on_event
        signals = ApplicationSignals(HANDLED_SIGNALS if spec is not None else (*HANDLED_SIGNALS, signal.SIGINT))

        stop = StopRequest()
        on_quick_stop = partial(spec.hooks.call, "worker_int", spec.worker_info()) if spec is not None else _nothing
        main = MainThread() if _calls_in_main_thread(apps, settings) else None
        escalation = Escalation(delays=settings.drain_delay > 0, is_supervised=spec is not None)
        on_signaled = clock.start if spec is None else _nothing
        handler = SignalHandler(loop, stop, escalation=escalation, on_signaled=on_signaled, on_quick_stop=on_quick_stop)
        if main is not None:
            handler.on_stop, handler.may_interrupt = signals.call_on_term, main.has_call

        def on_built(built: ServingStack) -> None:
            if main is None:
                signals.restore_handlers()  # Without a loop no lifespan has run that could have replaced them.
            liveness.start(built)

        def on_numbers(numbers: bytes) -> None:
            if main is not None:
                handler.on_numbers(numbers)
                main.on_signal()

        worker = Worker(
            apps,
            settings,
            listeners,
            stop,
            on_built=on_built,
            notify=notify,
            slot=link.slot if link is not None else None,
            transfers=transfers,
            tls=tls,
            call_in_main=main.call_in_main if main is not None else None,
            on_delay_end=lambda: os.kill(os.getpid(), signal.SIGUSR2),  # The signal handler has to know it, too.
        )
        stack.callback(worker.close)
        if main is None:
            asyncio.set_event_loop(loop)
            stack.callback(asyncio.set_event_loop, None)
        stack.callback(wake_by_signals(loop, on_numbers))
        restore_signals = handle_signals(loop, stop, interrupts=spec is None, handler=handler)
        restore_usr1 = reopen_by_signal(loop, list(filter(None, (captured, log.file, worker.access_file))))
        if spec is None:
            # A worker process keeps the handlers to its end: another signal must not change its exit code.
            stack.callback(restore_signals)
            stack.callback(restore_usr1)
            stack.callback(clock.end)
        signals.remember_handlers()
        if main is None:
            signals.protect_handlers(loop)
            _run_to_end(loop, worker, signals.call_at_stop(stop))
        else:
            main.run(loop, lambda: _run_beside(loop, worker), handler)
        ending = worker.ending(INTERRUPTED if handler.has_interrupted else 0)
        worker.close()  # Its last log lines precede ours.
        if spec is None:
            logger.info("stopped")
    return ending


def _nothing() -> None:
    pass


def _open_tls(settings: Settings, spec: WorkerSpec | None) -> ServingTls | None:
    """Loads the certificates. Of several workers, the first one logs the warnings."""
    if spec is None:
        return open_tls(settings, read_tls_files(settings))
    on_unreadable = partial(spec.link.notify, "certificates")
    return open_tls(
        settings,
        spec.tls,
        hook=spec.hooks.find("ssl_context"),
        on_unreadable=on_unreadable,
        is_reporting=spec.link.slot == 0,
    )


def _initialised(apps: tuple[Application, ...], spec: WorkerSpec) -> tuple[Application, ...]:
    """Calls the hook post_worker_init. Returns the applications with the hooks around their requests."""
    spec.hooks.call("post_worker_init", spec.worker_info())
    return with_request_hooks(apps, spec.hooks, spec.worker_info())


def _calls_in_main_thread(apps: Sequence[Application], settings: Settings) -> bool:
    # An ASGI application needs the main thread for its event loop.
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and settings.threads == 1 and not serves_asgi(apps)


def load_loop(name: str, apps: Sequence[Application]) -> None:
    """Imports the modules that new_loop() needs."""
    new_loop(name, apps).close()


def new_loop(name: str, apps: Sequence[Application]) -> asyncio.AbstractEventLoop:
    """Makes an event loop of the kind of --loop, for these applications. Raises StartupError."""
    # Without an ASGI application the loop does very little, and uvloop takes time to import.
    if name == "uvloop" or (name == "auto" and serves_asgi(apps)):
        try:
            import uvloop
        except ImportError:
            if name == "uvloop":
                raise StartupError(
                    "uvloop is not installed. Install it (pip install uvloop), or use --loop asyncio."
                ) from None
        else:
            return _with_safe_log(uvloop.new_event_loop())
    return _with_safe_log(asyncio.new_event_loop())


def _with_safe_log(loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
    # The loop logs an exception in a callback. If a filter or handler of logging raised then, the loop would end.
    loop.set_exception_handler(_log_loop_exception)
    return loop


def _log_loop_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Logs as the loop does by default, but catches exceptions of logging."""
    try:
        loop.default_exception_handler(context)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as failure:
        exception = context.get("exception")
        handled = None if exception is None else (type(exception), exception, exception.__traceback__)
        message = str(context.get("message") or "unhandled exception in the event loop")
        fallback.write(logging.LogRecord("asyncio", logging.ERROR, "", 0, "%s", (message,), handled), failure)


def _run_beside(loop: asyncio.AbstractEventLoop, worker: Worker) -> None:
    """Runs the loop in another thread than the main one, to its end."""
    try:
        loop.run_until_complete(_serve(worker))
    finally:
        worker.close()


def _run_to_end(loop: asyncio.AbstractEventLoop, worker: Worker, at_stop: Coroutine[Any, Any, None]) -> None:
    serving = loop.create_task(_serve(worker, at_stop))
    while True:
        try:
            loop.run_until_complete(serving)
            return
        except KeyboardInterrupt:
            # Raised by signals.py as the last resort: it has interrupted the code that blocked the loop, so the pending
            # quick shutdown can proceed.
            if serving.done():
                return


async def _serve(worker: Worker, at_stop: Coroutine[Any, Any, None] | None = None) -> None:
    """Serves, then ends tasks and threads as asyncio.run() does, but within limits. at_stop: runs at the same time."""
    calling = asyncio.create_task(at_stop) if at_stop is not None else None
    try:
        await worker.serve()
    finally:
        loop, own = asyncio.get_running_loop(), asyncio.current_task()
        if calling is not None:
            calling.cancel()
        limit = min(CANCEL_SECONDS, worker.time_left())
        await worker.cancel([task for task in asyncio.all_tasks() if task is not own], limit)
        await asyncio.wait({asyncio.create_task(loop.shutdown_asyncgens())}, timeout=limit)
        threads = asyncio.create_task(loop.shutdown_default_executor())
        await worker.until(threads, StopLevel.QUICK, worker.time_left())
