"""A worker's side of liveness: that it notices its supervisor's end, and can tell what it is at when it is stuck.

The supervisor's side is process/board and what supervisor.py makes of it. The watching is done by a native thread
(telemetry/pulse), since whoever is to notice that Python does not get on cannot be Python.
"""

from __future__ import annotations

import faulthandler
import os
import weakref
from typing import TYPE_CHECKING

from ianus.process.launch import Supervised
from ianus.settings.schema import Settings

if TYPE_CHECKING:
    from ianus.process.worker import Worker


# Seconds behind the limits of a graceful stop that a worker needs besides.
MARGIN = 5.0


class Vigil:
    """Watches over this process from now on; where it has a supervisor, also over that.

    supervised: None where there is no supervisor.

    When the supervisor has gone, the worker is told to stop by TERM, by QUIT when the limits of a graceful stop have
    passed, and by KILL. Raises RuntimeError when the system gives no thread, and OSError when it gives no file.
    """

    def __init__(self, supervised: Supervised | None, settings: Settings) -> None:
        from ianus.telemetry.pulse import Pulse  # Compiled; the supervisor's process loads none of that.

        self._supervised = supervised
        self._settings = settings
        if supervised is None:
            return
        # Also over what PYTHONFAULTHANDLER has set up: the supervisor puts it into the log, with what it knows besides.
        faulthandler.enable(supervised.board.fd, all_threads=True)
        self._pulse = Pulse(supervised.lifeline, grace=grace(settings))
        self._pulse.run()
        reference = weakref.ref(self)

        def forget() -> None:
            vigil = reference()
            if vigil is not None:
                vigil._forget_in_child()

        os.register_at_fork(after_in_child=forget)

    def start(self, worker: Worker) -> None:
        """Connections are accepted: from here on they have to be served."""

    def stop(self) -> None:
        """The reactor is about to be closed. Whether the supervisor is there is watched on."""

    def _forget_in_child(self) -> None:
        """After fork() in the application: the child is nobody's worker, and its crash nobody's but its own."""
        assert self._supervised is not None
        faulthandler.enable(2)
        os.close(self._supervised.lifeline)
        os.close(self._supervised.channel)
        self._supervised.board.close()


def grace(settings: Settings) -> float:
    """Seconds that a worker may take to stop gracefully; 0.0 is no limit."""
    limits = (settings.timeout_graceful_shutdown, settings.timeout_lifespan_shutdown)
    return sum(limits) + MARGIN if all(limits) else 0.0
