"""Chooses whether a request's task makes its first step at once, which CPython 3.12 and newer can do.

Facts: an eager start saves a pass through the loop. But a first step that runs much code, as that of a framework does,
evicts the server's code and data from the processor's caches. If it runs between the requests of a batch, each of them
is received, parsed and answered with cold caches. On CPython 3.13, hello takes 9 % more CPU time without the eager
start, and a route of FastAPI 25 % less.

Strategy: every 32nd start is measured. While they take long, the requests of a batch start from the loop, one after the
other, once all of them are parsed. A request that is alone in its batch starts eagerly in any case. "Long" is a
multiple of the time that a piece of work takes in this process, since processors differ, and valgrind slows all down.

Compiled because every request passes here: 27 instructions for ASGI hello on CPython 3.13.
"""
cimport cython
import sys

from ianus.runtime.clock cimport monotonic


cdef enum:
    INTERVAL = 32           # starts of which one is measured
    WORK_ITEMS = 8
    SHARE = 8               # the part of a measured start in the average is 1 / SHARE

cdef double SLOW_UNITS = 5.0
cdef double MAX_UNITS = 20.0        # of one start in the average


@cython.final
cdef class EagerStart:
    """The choice for the requests of one application. Does nothing before CPython 3.12."""

    def __cinit__(self):
        self.is_possible = sys.version_info >= (3, 12)
        self.until_measured = INTERVAL

    cpdef bint measure_next(self) noexcept:
        self.since = 0
        self.until_measured -= 1
        if self.until_measured:
            return False
        self.until_measured = INTERVAL
        self.since = monotonic()
        return True

    cdef bint has_batch(self) noexcept:
        return self.poller is not None and self.poller.batch_size() > 1

    cpdef int note(self, double seconds) noexcept:
        """Notes that a first step took this long."""
        if not self.unit:
            self.unit = unit_seconds()
        self.average += (min(seconds, MAX_UNITS * self.unit) - self.average) / SHARE
        self.is_slow = self.average > SLOW_UNITS * self.unit
        return 0


def unit_seconds() -> float:
    """Returns the seconds that a piece of work takes here: about 5 microseconds on a usual processor."""
    cdef double started, shortest = 1
    work = [{"id": number, "name": "item"} for number in range(WORK_ITEMS)]
    # The minimum, since other processes may interrupt it.
    for _ in range(5):
        started = monotonic()
        repr(work)
        shortest = min(shortest, monotonic() - started)
    return shortest
