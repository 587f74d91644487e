"""The abstract base of calls; pool_call.pxd describes it.

Compiled because every WSGI request passes here: 49 instructions for WSGI hello.
"""
cimport cython


# No garbage collector: a call and its exchange refer to each other only until the call has returned.
@cython.no_gc
cdef class PoolCall:
    cdef int run(self) except -1:
        raise NotImplementedError

    cdef int fail(self) except -1:
        raise NotImplementedError

    cdef int finish(self) except -1:
        raise NotImplementedError

    cdef int abandon(self) except -1:
        raise NotImplementedError

    cdef int collect(self) except -1:
        raise NotImplementedError

    cdef int discard_output(self) except -1:
        raise NotImplementedError

    cdef int abort(self) except -1:
        raise NotImplementedError

    cdef str description(self):
        raise NotImplementedError
