"""The limits of a worker's stop, for its supervisor, and for the worker's own monitoring if the supervisor has
exited."""

from ianus.settings.schema import Settings

# Seconds for the functions that the application has registered with atexit (exit.py).
ATEXIT_SECONDS = 5.0

# Seconds beyond the limits of the settings: tasks, threads and calls that a stop interrupts get CANCEL_SECONDS seconds
# each (worker.py).
MARGIN_SECONDS = 8.0


def drain_budget(settings: Settings) -> float:
    """Returns the seconds until requests are done and the lifespan shutdown starts; 0.0: unlimited."""
    limit = settings.timeout_graceful_shutdown
    return limit + MARGIN_SECONDS if limit else 0.0


def lifespan_budget(settings: Settings) -> float:
    """Returns the seconds for the lifespan shutdown of all applications; 0.0: unlimited."""
    limit = settings.timeout_lifespan_shutdown * (1 + len(settings.mount))
    return limit + MARGIN_SECONDS if limit else 0.0


def exit_budget(seconds: float) -> float:
    """Returns the seconds from the lifespan shutdown to the exit of the process, if threads may take `seconds`; 0.0:
    unlimited."""
    return seconds + ATEXIT_SECONDS + MARGIN_SECONDS if seconds else 0.0


def total_stop_budget(settings: Settings) -> float:
    """Returns the seconds for the whole stop; 0.0: unlimited. Threads get the time that requests did not use."""
    parts = drain_budget(settings), lifespan_budget(settings)
    return sum(parts) + ATEXIT_SECONDS + MARGIN_SECONDS if all(parts) else 0.0
