"""The choice between HTTP/1 and HTTP/2 for a connection."""
cimport cython
from ianus.exchange.base cimport Session, SessionFactory, Transport, flag


cdef class ProtocolChoice(SessionFactory):
    cdef SessionFactory http1, http2
    cdef bint reads_preface         # connections without a negotiation start with either protocol


@cython.no_gc
cdef class PrefaceSession(Session):
    """The start of a connection that has no negotiation, up to the first bytes of its protocol."""
    cdef ProtocolChoice choice
    cdef Session http1              # serves the connection, unless it starts with the preface of HTTP/2
    cdef double since               # the first byte, in CLOCK_MONOTONIC seconds; 0 = none
    cdef flag known                 # the protocol is known
    cdef flag is_http2

    cdef int take_over(self, Session session) except -1
