"""See request.pxd."""
from ianus.codec.base cimport Request


cdef class Http1Request(Request):
    pass
