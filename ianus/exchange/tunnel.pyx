"""The base of exchanges that may become a tunnel.

Compiled because its subclasses are.
"""
cimport cython

from ianus.exchange.http cimport Exchange


@cython.no_gc
cdef class TunnelExchange(Exchange):
    cdef Py_ssize_t tunnel_received(self, const char* data, Py_ssize_t size) except -1:
        # Called only after a 101, which a subclass must have sent.
        raise NotImplementedError

    cdef double tunnel_deadline(self) noexcept:
        # No deadline
        return 0

    cdef int tunnel_expired(self) except -1:
        raise NotImplementedError

    # A tunnel that a stop does not end by itself.
    cdef bint tunnel_is_open(self) noexcept:
        return False
