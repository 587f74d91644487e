"""The sessions of HTTP/2 connections."""
cimport cython
from ianus.codec.base cimport MultiplexedCodecFactory
from ianus.exchange.http_session cimport HttpSessionFactory
from ianus.exchange.stream_session cimport StreamSession


@cython.final
@cython.no_gc
cdef class Http2Session(StreamSession):
    """One HTTP/2 connection (RFC 9113)."""


cdef class Http2SessionFactory(HttpSessionFactory):
    cdef MultiplexedCodecFactory codecs
