"""Runs a supervisor in this process, and in each process forked from it the function that belongs there."""

from ianus.process.fork import Forked
from ianus.process.streams import open_standard_streams
from ianus.process.supervisor.supervisor import Supervisor
from ianus.process.worker.entry import preload, serve, serve_preloaded
from ianus.process.worker_spec import WorkerEntry
from ianus.settings.paths import resolve_paths
from ianus.settings.schema import Settings
from ianus.settings.sources import Reader


def supervise(app: str, settings: Settings, reader: Reader | None = None, lifeline: int = -1) -> int:
    """Runs a supervisor for `app` until it is stopped. Returns the exit code: in the supervisor and in each process
    forked from it.

    reader: reads the settings again at HUP. lifeline: a pipe whose end stops the supervisor too.

    Raises StartupError if it cannot start.
    """
    open_standard_streams()
    entry = WorkerEntry(serve, preload, serve_preloaded)
    try:
        return Supervisor(app, resolve_paths(settings), entry, reader, lifeline).run()
    except Forked as forked:
        function = forked.function
    return function()
