"""Decides when WebSockets and event streams are ended, so that their clients do not reconnect at one moment."""

import math


class DrainPace:
    """The pace of a stop with --ws-drain-spread: constant, and faster if more conversations are found than expected.

    ws_drain_spread: the seconds after which none is to be left. now: the start of this time, by time.monotonic().
    """

    # Seconds between two steps at least: thousands of conversations share a step.
    STEP_SECONDS = 0.05

    def __init__(self, ws_drain_spread: float, now: float) -> None:
        self._until = now + ws_drain_spread
        self._last = now
        self._credit = 0.0  # conversations that may be ended at this moment

    def is_over(self) -> bool:
        """Returns whether take() was last called at the end."""
        return self._last >= self._until

    def take(self, count: int, now: float) -> int:
        """Returns how many of `count` open conversations are to be ended at the time `now`."""
        if now >= self._until:
            self._last = now
            return count
        self._credit += count * (now - self._last) / (self._until - self._last)
        self._last = now
        # A sum of fractions may lack a tiny part of the whole number that it stands for.
        taken = min(math.floor(self._credit + 1e-6), count)
        self._credit -= taken
        return taken

    def pause(self, count: int) -> float:
        """Returns the seconds until the next one of `count` open conversations is to be ended."""
        left = self._until - self._last
        pause = (1 - self._credit) * left / count if count else left
        return max(min(max(pause, self.STEP_SECONDS), left), 0.0)
