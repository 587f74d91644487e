"""The sessions of HTTP/2 connections."""
cimport cython
from ianus.codec.base cimport MultiplexedCodecFactory
from ianus.exchange.base cimport SessionFactory
from ianus.exchange.gateway cimport Gateway
from ianus.exchange.service cimport Service
from ianus.exchange.stream_session cimport StreamSession


@cython.final
@cython.no_gc
cdef class Http2Session(StreamSession):
    """One HTTP/2 connection (RFC 9113)."""


cdef class Http2SessionFactory(SessionFactory):
    cdef Service service
    cdef Gateway gateway            # of the sessions
    cdef MultiplexedCodecFactory codecs
