"""How long a worker may take to stop: so long its supervisor waits, and its pulse (vigil.py) where that is gone."""

from ianus.settings.schema import Settings

# Seconds for the functions that the application has registered with atexit (exit.py).
ATEXIT_SECONDS = 5.0

# Seconds beside the limits that the settings have: each of what a stop breaks off (tasks, the crew, its calls, threads)
# gets CANCEL_SECONDS seconds to leave (worker.py).
MARGIN_SECONDS = 8.0


def drain_budget(settings: Settings) -> float:
    """Seconds until requests are done and the applications clean up; 0.0 is no limit."""
    limit = settings.timeout_graceful_shutdown
    return limit + MARGIN_SECONDS if limit else 0.0


def lifespan_budget(settings: Settings) -> float:
    """Seconds for the clean-up of the applications, one after the other; 0.0 is no limit."""
    limit = settings.timeout_lifespan_shutdown * (1 + len(settings.mount))
    return limit + MARGIN_SECONDS if limit else 0.0


def exit_budget(seconds: float) -> float:
    """Seconds from the clean-up of the applications to the end of the process, if threads of the application may take
    so many; 0.0 is no limit."""
    return seconds + ATEXIT_SECONDS + MARGIN_SECONDS if seconds else 0.0


def total_stop_budget(settings: Settings) -> float:
    """Seconds for the whole stop; 0.0 is no limit. Threads get the time that requests have left."""
    parts = drain_budget(settings), lifespan_budget(settings)
    return sum(parts) + ATEXIT_SECONDS + MARGIN_SECONDS if all(parts) else 0.0
