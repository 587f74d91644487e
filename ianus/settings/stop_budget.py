"""The times of a stop: --timeout-stop is the total, and each part of the stop has a share of it.

    signal --- delay --- requests --- cancellation --- lifespan shutdown --- end of the process --- SIGABRT --- SIGKILL

A part that needs less gives its time to those after it. A part that needs more is interrupted, so that those after it
have their shares in any case. Only arithmetic is here. The worker keeps all times but the last two, which are its
supervisor's.
"""

import math
from typing import NamedTuple

# The largest part of the total that each share may take, and its maximum in seconds. The requests have the rest.
KILL_SHARE = 0.03, 0.25  # from SIGKILL to the exit of the supervisor
ABORT_SHARE = 0.05, 0.75  # from SIGABRT, after which a worker writes its stacks
END_SHARE = 0.12, 2.0  # tasks, threads and functions of atexit, after the lifespan shutdown
LIFESPAN_SHARE = 0.2, 5.0  # the lifespan shutdown, unless --timeout-lifespan-shutdown is given
CANCEL_SHARE = 0.1, 1.5  # cancelled requests

# Maximum time for a start that a stop interrupts, which has no requests.
STARTING_SECONDS = 3.0

# A worker whose lifespan shutdown starts at the last moment is not interrupted: its supervisor waits for this part of
# the lifespan's share.
LATE_PART = 0.1
LATE_SECONDS = 0.5

# The part of the end of the process that is kept for functions of atexit.
ATEXIT_PART = 0.5


class StopBudget(NamedTuple):
    """The times of a stop, in seconds after its signal. They are infinite if the stop has no limit."""

    cancel_after: float  # requests in flight are cancelled
    lifespan_after: float  # the lifespan shutdown starts at the latest
    end_after: float  # the lifespan shutdown is cancelled, and the process ends
    threads_after: float  # threads of the application are not waited for any more
    abort_after: float  # the supervisor sends SIGABRT
    kill_after: float  # the supervisor sends SIGKILL

    def interrupt_after(self, *, is_starting: bool) -> float:
        """Returns the time at which code that blocks the event loop is interrupted."""
        late = (
            min(LATE_PART * (self.end_after - self.lifespan_after), LATE_SECONDS) if self.end_after < math.inf else 0.0
        )
        return min(STARTING_SECONDS, self.lifespan_after) if is_starting else self.lifespan_after + late


def stop_budget(timeout_stop: float, timeout_lifespan_shutdown: float = 0.0) -> StopBudget:
    """Divides a total. 0: no limit, and for the lifespan its share by default."""
    if not timeout_stop:
        return StopBudget(*[math.inf] * 6)
    kill_after = timeout_stop - _share(KILL_SHARE, timeout_stop)
    abort_after = kill_after - _share(ABORT_SHARE, timeout_stop)
    end = _share(END_SHARE, timeout_stop)
    end_after = abort_after - end
    lifespan_after = end_after - (timeout_lifespan_shutdown or _share(LIFESPAN_SHARE, timeout_stop))
    cancel_after = lifespan_after - _share(CANCEL_SHARE, timeout_stop)
    threads_after = abort_after - ATEXIT_PART * end
    return StopBudget(cancel_after, lifespan_after, end_after, threads_after, abort_after, kill_after)


def smallest_total(timeout_lifespan_shutdown: float, seconds: float) -> int:
    """Returns the smallest total, in whole seconds, with more than `seconds` for the delay, the spread and requests."""
    total = 1
    while stop_budget(total, timeout_lifespan_shutdown).cancel_after <= seconds:
        total += 1
    return total


def _share(share: tuple[float, float], total: float) -> float:
    part, maximum = share
    return min(part * total, maximum)
