"""The steps of a stop after Reactor.drain()."""
from ianus.acceptor.accepting cimport Accepting
from ianus.acceptor.connection_table cimport ConnectionTable


cdef class Draining:
    cdef Accepting accepting        # the reactor's
    cdef ConnectionTable table      # the reactor's
