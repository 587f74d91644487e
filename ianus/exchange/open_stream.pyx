"""The state of a stream for its session.

Compiled because it handles every request over HTTP/2.
"""
cimport cython


@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class OpenStream:
    pass


cdef OpenStream open_stream(int stream, Exchange exchange):
    cdef OpenStream opened = OpenStream.__new__(OpenStream)
    opened.stream = stream
    opened.exchange = exchange
    return opened
