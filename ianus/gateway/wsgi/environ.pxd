"""The environ dictionaries of WSGI applications."""
from ianus.codec.base cimport Request
from ianus.exchange.http cimport Exchange


cdef class Environs:
    cdef dict template              # the entries that all environs share; copied for each
    cdef object server              # the server address in the template, None until the first request
    cdef str prefix                 # part of the received path that PATH_INFO does not have
    cdef dict key_by_field          # environ key by field name; None for names that are dropped
    cdef bint keep_underscores

    cdef int learn_server(self, object server) except -1
    # body: wsgi.input; body_size: its bytes. early_hints: wsgi.early_hints, or None.
    cdef dict make(self, Exchange exchange, object body, long long body_size, object early_hints)
    cdef object key_for_field(self, bytes name)
    cdef str path_info(self, Request request, dict environ)
