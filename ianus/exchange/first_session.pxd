"""A session up to the bytes that decide how its connection continues."""
cimport cython
from ianus.exchange.base cimport Session, flag


@cython.no_gc
cdef class FirstSession(Session):
    cdef Session next               # takes over after these bytes; until then it answers for an idle connection
    cdef flag complete              # these bytes have been read
    cdef double since               # the first byte, in CLOCK_MONOTONIC seconds; 0 = none

    # Gives the connection to a session, perhaps to `next`, which this one forgets. Nothing calls this one any more.
    cdef int take_over(self, Session session) except -1
