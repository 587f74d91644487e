"""Gives the files of workers that run as --user to that user."""

from collections.abc import Iterable

from ianus.acceptor.listener import Listener
from ianus.process.privileges import give_log
from ianus.process.supervisor.generation import Generation


def set_file_owners(generation: Generation, listeners: Iterable[Listener]) -> None:
    """Sets the owner of log files, which workers reopen, and of the files of Unix sockets. Raises StartupError."""
    if generation.identity is None:
        return
    settings = generation.settings
    logs = {"--error-logfile": settings.error_logfile}
    if settings.access_log:
        logs["--access-logfile"] = settings.access_logfile
    for name, path in logs.items():
        if path != "-":
            give_log(generation.identity, path, name)
    for listener in listeners:
        listener.give(*generation.identity[:2])
