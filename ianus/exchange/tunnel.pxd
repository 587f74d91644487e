"""An exchange that may become a tunnel (RFC 9110 section 7.8): afterwards its bytes are not HTTP."""
cimport cython
from ianus.exchange.http cimport Exchange


@cython.no_gc
cdef class TunnelExchange(Exchange):
    # From the session, while `tunnel` is set
    cdef Py_ssize_t tunnel_received(self, const char* data, Py_ssize_t size) except -1  # bytes taken
    cdef double tunnel_deadline(self) noexcept      # CLOCK_MONOTONIC seconds, 0 = none
    cdef int tunnel_expired(self) except -1
    cdef bint tunnel_is_open(self) noexcept         # its end has not started; stop_stream() starts it
