"""Returns the memory of handshakes to the system after a flood of them.

Facts: a handshake has about 50 KB of small objects in the C library's heap until it is complete. That heap shrinks only
at its end, so a single object there keeps all free pages before it. Strategy: a second after a peak of handshakes has
passed, the library gives free pages back, once. That takes the time of some handshakes, so small peaks do not count.

Compiled because connections call it.
"""
from ianus.acceptor.deadlines cimport DeadlineTimer
from ianus.runtime.clock cimport monotonic


cdef extern from *:
    """
    #include <stdlib.h>
    #ifdef __GLIBC__
    #include <malloc.h>
    #define return_free_pages() malloc_trim(0)
    #else
    #define return_free_pages() 0
    #endif
    """
    int return_free_pages() noexcept


cdef enum:
    MIN_PEAK = 128          # handshakes under way at once, with about 6 MB

cdef double DELAY_SECONDS = 1.0     # for the connections to close


cdef class HandshakeMemory:
    def __cinit__(self, DeadlineTimer deadlines not None):
        self.deadlines = deadlines

    cdef int add(self) noexcept:
        self.count += 1
        self.peak = max(self.peak, self.count)
        return 0

    cdef int remove(self) except -1:
        self.count -= 1
        if self.due_at == 0 and self.has_passed():
            self.due_at = monotonic() + DELAY_SECONDS
            return self.deadlines.arm_at(self.due_at)
        return 0

    cdef bint has_passed(self) noexcept:
        """Whether there was a peak, and at least half of it has ended."""
        return self.peak >= MIN_PEAK and self.count <= self.peak // 2

    cdef int on_timer(self, double now) except -1:
        if self.due_at and now >= self.due_at:
            self.due_at = 0
            # Otherwise the next one that ends sets another time.
            if self.has_passed():
                return_free_pages()
                self.peak = self.count
        return self.deadlines.arm_at(self.due_at)
