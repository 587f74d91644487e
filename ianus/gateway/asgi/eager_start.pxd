"""The choice whether a request's task makes its first step at once (CPython 3.12), or from the loop."""
from ianus.exchange.base cimport Poller


cdef class EagerStart:
    cdef readonly bint is_possible
    cdef readonly bint is_slow      # first steps take long, and so evict the server from the caches
    cdef public Poller poller       # of the connections; None if they share no batches
    cdef int until_measured         # starts before the next one that is measured
    cdef readonly double unit       # seconds of a piece of work in this process, 0 before the first note
    cdef double average             # seconds of an eager start; a few that were interrupted count little
    cdef double since               # CLOCK_MONOTONIC seconds of the start that is measured, else 0

    # Counts a start. Returns whether it is measured, and must be eager for that.
    cpdef bint measure_next(self) noexcept
    cdef bint has_batch(self) noexcept      # other connections had an event at the same time
    cpdef int note(self, double seconds) noexcept
