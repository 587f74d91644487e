"""The requests in flight, in memory that the supervisor reads.

The layout is that of process/scoreboard.py, which reads it.
"""
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from ianus.runtime.mapped_memory cimport MappedMemory


cdef enum:
    REQUEST_ENTRIES = 64
    REQUEST_LINE_BYTES = 118  # bytes of a request line that are kept
    NOT_LISTED = 255        # in the place of an entry: there was none left


cdef struct ScoreboardHeader:
    double heartbeat        # CLOCK_MONOTONIC seconds; written by the liveness thread
    uint32_t unlisted
    uint32_t websockets     # open ones
    uint64_t requests       # all that applications were called for
    uint32_t connections    # open ones; written by the reactor's table of connections
    char reserved[36]

cdef struct RequestEntry:
    double since            # CLOCK_MONOTONIC seconds; 0 = it is free. Written last, erased first
    uint16_t size
    char line[REQUEST_LINE_BYTES]

cdef struct ScoreboardLayout:
    ScoreboardHeader header
    RequestEntry[REQUEST_ENTRIES] entries


# Valid as long as the memory
cdef ScoreboardLayout* scoreboard_in(MappedMemory memory) except NULL


cdef class InFlight:
    cdef MappedMemory shared
    cdef ScoreboardLayout* memory  # in `shared`
    # The entries that are free; the last one is taken first, and is in the processor's cache
    cdef unsigned char[REQUEST_ENTRIES] free
    cdef int free_count

    # Called by one thread at a time. The number that claim() returns is passed to release() once; 0 is ignored.
    cdef unsigned char claim(self, str method, bytes target) noexcept
    cdef void release(self, unsigned char entry) noexcept
    cdef void note_websockets(self, Py_ssize_t count) noexcept      # how many are open
