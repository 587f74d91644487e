"""The request of the HTTP/1 codec; request.pxd is its commented index."""
cimport cython
from ianus.codec.base cimport Request


@cython.no_gc
cdef class Http1Request(Request):
    pass
