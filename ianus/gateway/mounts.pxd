"""A gateway that chooses the application by a prefix of the path."""
from ianus.exchange.gateway cimport Gateway


cdef class Mounts(Gateway):
    cdef list mounted               # (prefix, gateway), the longest prefix first
