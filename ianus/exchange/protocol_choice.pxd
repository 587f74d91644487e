"""The choice between HTTP/1 and HTTP/2 for a connection."""
cimport cython
from ianus.exchange.base cimport SessionFactory, flag
from ianus.exchange.first_session cimport FirstSession


cdef class ProtocolChoice(SessionFactory):
    cdef SessionFactory http1, http2
    cdef bint reads_preface         # connections without a negotiation start with either protocol


@cython.no_gc
cdef class PrefaceSession(FirstSession):
    """The start of a connection that has no negotiation. `next` is the session of HTTP/1."""
    cdef ProtocolChoice choice
    cdef flag is_http2              # the bytes are the preface
