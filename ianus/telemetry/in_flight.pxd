"""The requests in flight, where the supervisor can read them.

The layout is that of process/scoreboard.py, which reads it.
"""
from libc.stdint cimport uint16_t, uint32_t


cdef enum:
    ENTRIES = 64
    LINE = 118              # bytes of a request line that are kept
    UNLISTED = 255          # in the place of an entry: there was none left


cdef struct Header:
    double heartbeat        # CLOCK_MONOTONIC seconds; the pulse's to write
    uint32_t unlisted
    char reserved[52]

cdef struct Entry:
    double since            # CLOCK_MONOTONIC seconds; 0 = it is free. Written last, erased first
    uint16_t size
    char line[LINE]

cdef struct Memory:
    Header header
    Entry[ENTRIES] entries


cdef class Shared:
    """The scoreboard's memory, as long as anybody needs it."""
    cdef Py_buffer buffer
    cdef Memory* memory     # in it; NULL = there is none


cdef class InFlight:
    cdef Shared shared
    cdef Memory* memory     # its own
    # The entries that are free; the last one is taken first, and is in the processor's cache
    cdef unsigned char[ENTRIES] free
    cdef int left

    # Of one thread at a time. What claim() returns is given back to release(), once; 0 is nothing.
    cdef unsigned char claim(self, str method, bytes target) noexcept
    cdef void release(self, unsigned char entry) noexcept
