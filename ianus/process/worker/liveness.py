"""Monitors a worker from inside: the exit of its supervisor, and whether connections are served.

The supervisor's side is process/scoreboard and process/supervisor/serving_limits, which reads it. A native thread
(telemetry/liveness) monitors the worker, since Python code could not notice that Python makes no progress.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from typing import TYPE_CHECKING

from ianus.process.scoreboard import CONNECTIONS_OFFSET, SIZE
from ianus.process.start_reports import LOOK_SIGNAL, record_stacks
from ianus.process.worker_spec import SupervisorLink
from ianus.settings.schema import Settings

if TYPE_CHECKING:
    from ianus.process.worker.loop_blocks import LoopBlockReporter
    from ianus.process.worker.stack import ServingStack
    from ianus.runtime.mapped_memory import MappedMemory
    from ianus.telemetry.liveness import LivenessThread

# The messages of a stuck worker to its supervisor; the number of seconds follows.
LOOP_STUCK = b"stuck\tits event loop has run no callback"
THREADS_STUCK = b"stuck\tno thread of it has looked at its connections"


class WorkerLiveness:
    """Monitors this process from its creation on, and the supervisor if there is one.

    link: None without a supervisor.

    When the supervisor has exited, the worker is stopped by TERM, by QUIT if it still runs at the end of its lifespan
    shutdown, and by KILL. Raises ThreadLimitError if the system gives no thread, and OSError if it gives no file.
    """

    def __init__(self, link: SupervisorLink | None, settings: Settings) -> None:
        self._link = link
        self._settings = settings
        self._liveness_thread: LivenessThread | None = None
        self._loop_blocks: LoopBlockReporter | None = None
        if link is None:
            return
        # Replaces the one of PYTHONFAULTHANDLER: the supervisor logs the stacks together with the requests in flight.
        record_stacks(link.scoreboard)
        self._run(link.lifeline)
        # The thread also keeps this object alive: code of the application may delay the process until its very end.
        os.register_at_fork(after_in_child=self._forget_in_child)

    def start(self, stack: ServingStack) -> None:
        """Starts to check that connections are served. For the thread of the running loop.

        Raises ThreadLimitError and OSError as above, and RuntimeError if no signal is free for --watch-loop.
        """
        is_complete = not self._settings.warmup  # Otherwise the supervisor may still look at the start.
        if self._link is not None and is_complete and signal.getsignal(LOOK_SIGNAL) is signal.SIG_DFL:
            faulthandler.unregister(LOOK_SIGNAL)  # A handler of the application stays.
        milliseconds = self._settings.watch_loop if stack.asgi else 0
        shared = self._share_counts(stack)
        if milliseconds and self._liveness_thread is None:
            self._run()
        if self._liveness_thread is None:
            return
        if milliseconds:
            from ianus.process.worker.loop_blocks import LoopBlockReporter

            self._loop_blocks = LoopBlockReporter(self._liveness_thread, milliseconds)
        self._liveness_thread.start_monitoring(
            stack.reactor.waker,
            shared=shared,
            timeout=self._settings.timeout if self._link is not None else 0.0,
            channel=self._link.channel if self._link is not None else -1,
            report=LOOP_STUCK if stack.asgi else THREADS_STUCK,
            limit=milliseconds / 1000,
            thread=threading.get_ident(),
            signal=self._loop_blocks.signal if self._loop_blocks is not None else 0,
            alarm=self._loop_blocks.alarm if self._loop_blocks is not None else -1,
        )

    def stop(self) -> None:
        """Stops the check that connections are served. The supervisor is still monitored."""
        if self._liveness_thread is not None:
            self._liveness_thread.stop_monitoring()
            if self._link is None:
                self._liveness_thread.close()
        if self._loop_blocks is not None:
            self._loop_blocks.close()
            self._loop_blocks = None

    def _run(self, lifeline: int = -1) -> None:
        from ianus.telemetry.liveness import LivenessThread  # Compiled; the supervisor must not load it.

        budget = self._settings.stop_budget()
        self._liveness_thread = LivenessThread(lifeline, quit_after=budget.end_after, kill_after=budget.kill_after)
        self._liveness_thread.start()

    def _share_counts(self, stack: ServingStack) -> MappedMemory | None:
        """Shares the requests in flight, and the number of connections, with the supervisor. Returns the shared
        memory."""
        if self._link is None:
            return None
        import mmap

        from ianus.runtime.mapped_memory import MappedMemory
        from ianus.telemetry.in_flight import InFlight

        mapped = mmap.mmap(self._link.scoreboard.fd, SIZE)
        shared = MappedMemory(mapped)
        stack.service.in_flight.publish(InFlight(shared))
        connections = memoryview(mapped)[CONNECTIONS_OFFSET : CONNECTIONS_OFFSET + 4]
        stack.reactor.table.publish_count(MappedMemory(connections))
        return shared

    def _forget_in_child(self) -> None:
        """Ends the monitoring in a child that the application has forked: the child is not a worker of the
        supervisor."""
        link, self._link = self._link, None
        if link is None:
            return  # A child of a child: the numbers are other files by now.
        faulthandler.enable(2)
        if signal.getsignal(LOOK_SIGNAL) is signal.SIG_DFL:
            faulthandler.unregister(LOOK_SIGNAL)
        os.close(link.lifeline)
        os.close(link.channel)
        link.scoreboard.close()
