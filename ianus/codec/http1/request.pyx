"""The request of the HTTP/1 codec; request.pxd is its commented index."""
cimport cython
from ianus.codec.base cimport Request
from ianus.runtime.object_pool cimport pool_objects


# Its fields are filled by request_line, head and codec. It owns no pointer, so nothing has to be released.
@cython.no_gc
cdef class Http1Request(Request):
    pass


pool_objects(Http1Request)
