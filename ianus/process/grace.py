"""How long a worker may take to stop: so long its supervisor waits, and its pulse (vigil.py) where that is gone."""

from ianus.settings.schema import Settings

# Seconds beside the limits that the settings have: each of what a stop breaks off (tasks, the crew, its calls) gets
# CANCEL_GRACE seconds to leave (worker.py).
MARGIN = 8.0


def until_closing(settings: Settings) -> float:
    """Seconds until requests are done and the applications clean up; 0.0 is no limit."""
    limit = settings.timeout_graceful_shutdown
    return limit + MARGIN if limit else 0.0


def of_closing(settings: Settings) -> float:
    """Seconds for the clean-up of the applications, one after the other; 0.0 is no limit."""
    limit = settings.timeout_lifespan_shutdown * (1 + len(settings.mount))
    return limit + MARGIN if limit else 0.0


def of_all(settings: Settings) -> float:
    """Seconds for both; 0.0 is no limit."""
    parts = until_closing(settings), of_closing(settings)
    return sum(parts) if all(parts) else 0.0
