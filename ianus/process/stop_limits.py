"""How long a worker may take to stop: so long its supervisor waits, and its pulse (vigil.py) where that is gone."""

from ianus.settings.schema import Settings

# Seconds for the functions that the application has registered with atexit (exit.py).
ATEXIT_SECONDS = 5.0

# Seconds beside the limits that the settings have: each of what a stop breaks off (tasks, the crew, its calls, threads)
# gets CANCEL_GRACE seconds to leave (worker.py).
MARGIN = 8.0


def until_closing(settings: Settings) -> float:
    """Seconds until requests are done and the applications clean up; 0.0 is no limit."""
    limit = settings.timeout_graceful_shutdown
    return limit + MARGIN if limit else 0.0


def of_closing(settings: Settings) -> float:
    """Seconds for the clean-up of the applications, one after the other; 0.0 is no limit."""
    limit = settings.timeout_lifespan_shutdown * (1 + len(settings.mount))
    return limit + MARGIN if limit else 0.0


def of_exiting(seconds: float) -> float:
    """Seconds from the clean-up of the applications to the end of the process, if threads of the application may take
    so many; 0.0 is no limit."""
    return seconds + ATEXIT_SECONDS + MARGIN if seconds else 0.0


def of_all(settings: Settings) -> float:
    """Seconds for the whole stop; 0.0 is no limit. Threads get the time that requests have left."""
    parts = until_closing(settings), of_closing(settings)
    return sum(parts) + ATEXIT_SECONDS + MARGIN if all(parts) else 0.0
