"""The state of the server, as /-/status of the admin socket shows it. docs/operations.md has the names in it."""

import os
from typing import Any, NamedTuple

from ianus._version import __version__
from ianus.process.supervisor.serving_limits import resident_bytes
from ianus.process.supervisor.worker_process import Stage, WorkerProcess
from ianus.process.supervisor.workers import Workers


class ServerState(NamedTuple):
    """The state of a supervisor at a moment.

    is_ready: a worker accepts connections, and the server does not stop.
    """

    workers: Workers
    started_at: float
    started_unix: float
    is_stopping: bool

    @property
    def is_ready(self) -> bool:
        return not self.is_stopping and any(self.workers.slots.serving())

    def status(self, now: float) -> dict[str, Any]:
        """Returns the state as an object of JSON."""
        workers = self.workers
        return {
            "version": __version__,
            "pid": os.getpid(),
            "state": "draining" if self.is_stopping else "serving" if self.is_ready else "starting",
            "started": round(self.started_unix, 3),
            "uptime": round(now - self.started_at, 3),
            "generation": workers.generations.active.number,
            "workers_wanted": workers.slots.count,
            "workers": [
                _worker_status(process, now) for process in sorted(workers, key=lambda each: (each.slot, each.pid))
            ],
        }


def _worker_status(process: WorkerProcess, now: float) -> dict[str, Any]:
    in_flight, websockets, requests, connections = process.scoreboard.counts()
    beat = process.scoreboard.last_heartbeat()
    return {
        "slot": process.slot + 1,
        "pid": process.pid,
        "generation": process.generation.number,
        "stage": process.stage.value,
        "age": round(now - process.started_at, 3),
        "heartbeat_age": round(max(now - beat, 0.0), 3) if process.stage is not Stage.STARTING and beat > 0 else None,
        "requests": requests,
        "requests_in_flight": in_flight,
        "websockets": websockets,
        "connections": connections,
        "rss": resident_bytes(process.pid),
    }
