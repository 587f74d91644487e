"""A timer wheel for numbered entries, each with at most one time."""


cdef enum:
    BUCKETS = 1024  # a power of two


# Of an entry. Small, since there is one for each connection.
cdef struct WheelEntry:
    int next                        # in the list of its bucket; -1 ends it
    int previous
    short bucket                    # -1 when it is not in the wheel


cdef class TimerWheel:
    cdef readonly double tick       # seconds covered by a bucket
    cdef double origin              # the time of tick 0
    cdef long long last             # the last tick that was expired; the clock may be ahead of it
    # Linked lists through arrays, owned by this object; -1 ends a list. Indexed by bucket ...
    cdef int* first
    # ... and by entry
    cdef WheelEntry* entries
    cdef int capacity               # entries for which there is memory
    cdef unsigned long long[16] busy    # a bit for each bucket that is not empty

    cdef int schedule(self, int entry, double when, double now) except -1
    cdef int cancel(self, int entry) noexcept
    cdef double next_time(self) noexcept
    # Takes out one entry that is due, or returns -1 and remembers that all until `now` is done.
    cdef int pop(self, double now) noexcept
    cdef long long due(self, int entry) noexcept    # the tick of an entry that is in the wheel
    cdef int unlink(self, int entry) noexcept
    cdef int reserve(self, int entry) except -1
