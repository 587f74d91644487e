"""Environs of WSGI applications: what a request is to them."""
from ianus.codec.base cimport Request
from ianus.exchange.http cimport Exchange


cdef class Environs:
    cdef dict template              # what all environs have in common; copied for each
    cdef object server              # the server address in it, None until the first request
    cdef str prefix                 # what PATH_INFO does not have, of the path received
    cdef dict keys                  # environ key by field name; None for names that are dropped
    cdef bint keep_underscores

    cdef int expect(self, object server) except -1
    # server: the address that the client connected to. body: wsgi.input; body_size: its bytes. early_hints:
    # wsgi.early_hints, or None.
    cdef dict make(self, Exchange exchange, object server, object body, long long body_size, object early_hints)
    cdef object key_of(self, bytes name)
    cdef str path_info(self, Request request, dict environ)
