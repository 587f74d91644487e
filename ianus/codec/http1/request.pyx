"""See request.pxd."""
cimport cython
from ianus.codec.base cimport Request


@cython.no_gc
cdef class Http1Request(Request):
    pass
