"""The requests of a worker that were not sent to statsd yet.

Rules:
- The memory is bounded: of many requests all are counted, but only the first durations are kept.
- A thread that waits for requests is woken by the first one alone.

Compiled because every request passes here with --statsd-host: 59 instructions.
"""
import threading

from libc.string cimport memcpy, memset

from ianus.telemetry.observer cimport Observer, RequestFacts

MAX_KEPT = MAX_DURATIONS

cdef int SWITCHING_PROTOCOLS = 101


cdef class RequestSamples(Observer):
    """Counts requests by status, and keeps their durations until take()."""

    def __cinit__(self):
        self.has_samples = threading.Event()

    def take(self) -> tuple[dict[int, int], list[float], int]:
        """Removes all, and returns the numbers by status, the kept durations in seconds, and the number of durations.
        """
        cdef long long[MAX_STATUS + 1] statuses
        cdef double[MAX_DURATIONS] durations
        cdef int kept
        cdef long long timed
        # First: a request that is added meanwhile is copied below, and one after that sets it again.
        self.has_samples.clear()
        # Copied without a call that could run other code, and so add a request.
        memcpy(statuses, self.statuses, sizeof(statuses))
        memcpy(durations, self.durations, sizeof(durations))
        kept, timed = self.kept, self.timed
        self.clear_samples()
        counts = {i: statuses[i] for i in range(MAX_STATUS + 1) if statuses[i]}
        return counts, [durations[i] for i in range(kept)], timed

    cdef int clear_samples(self) noexcept:
        memset(self.statuses, 0, sizeof(self.statuses))
        self.kept = 0
        self.timed = 0
        self.has_any = False
        return 0

    cdef int reset_in_child(self) except -1:
        """Forgets the parent's requests in a forked child, in which the event's lock may be held for good."""
        self.clear_samples()
        self.has_samples = threading.Event()
        return 0

    cdef int on_request_end(self, const RequestFacts* facts) except -1:
        """Counts a request."""
        if not 0 <= facts.status <= MAX_STATUS:
            return 0
        self.statuses[facts.status] += 1
        # The time of a WebSocket is that of its client, not of the application.
        if facts.status != SWITCHING_PROTOCOLS:
            self.timed += 1
            if self.kept < MAX_DURATIONS:
                self.durations[self.kept] = facts.duration
                self.kept += 1
        if not self.has_any:
            self.has_any = True
            self.has_samples.set()
        return 0
