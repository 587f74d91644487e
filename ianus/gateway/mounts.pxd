"""Several applications behind one address."""
from ianus.exchange.http cimport Gateway


cdef class Mounts(Gateway):
    cdef list places                # (prefix, gateway), the longest prefix first
