"""Counts of live objects, in debug builds only (-DIANUS_DEBUG): tests assert that they return to zero."""


cdef extern from *:
    """
    #ifdef IANUS_DEBUG
    #define IANUS_COUNTING 1
    #else
    #define IANUS_COUNTING 0
    #endif
    """
    const int COUNTING "IANUS_COUNTING"


cdef enum Kind:
    CONNECTIONS
    EXCHANGES
    BUFFERS


# The one mutable table of the compiled code; release builds never touch it.
cdef long alive[3]


cdef inline void count(Kind kind, long step) noexcept:
    if COUNTING:
        alive[<int>kind] += step
