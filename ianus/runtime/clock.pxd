"""CLOCK_MONOTONIC in seconds: exact in about 25 ns a call, or a few milliseconds old in about 5. And Unix time."""
from posix.time cimport CLOCK_MONOTONIC, CLOCK_REALTIME, clock_gettime, timespec


cdef extern from "<time.h>" nogil:
    enum:
        CLOCK_MONOTONIC_COARSE


cdef inline double monotonic() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec + now.tv_nsec * 1e-9


cdef inline double monotonic_coarse() noexcept nogil:
    """Returns a time for deadlines, which are seconds away: a few milliseconds old at most."""
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now)
    return now.tv_sec + now.tv_nsec * 1e-9


cdef inline double unix_time() noexcept nogil:
    """Returns Unix time, which may jump: only for a comparison with a time of another machine."""
    cdef timespec now
    clock_gettime(CLOCK_REALTIME, &now)
    return now.tv_sec + now.tv_nsec * 1e-9
