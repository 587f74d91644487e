"""Redirects of requests without TLS to https, in front of all applications."""
from ianus.exchange.gateway cimport Gateway
from ianus.exchange.http cimport Exchange


cdef class RedirectGateway(Gateway):
    cdef Gateway applications       # for the challenges of certificate authorities
    cdef object is_known_host       # called with a name in lower case, or an address: whether it has a certificate
    cdef int port                   # of https


cdef class RedirectExchange(Exchange):
    pass
