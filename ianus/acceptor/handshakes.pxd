"""The handshakes of a reactor, which its established connections do not wait for."""
from ianus.acceptor.accepting cimport Accepting
from ianus.acceptor.connection cimport ConnectionHost
from ianus.acceptor.connection_table cimport ConnectionTable
from ianus.acceptor.handshake_memory cimport HandshakeMemory
from ianus.acceptor.poll.base cimport Poll


cdef enum:
    HANDSHAKES_ID = 0xFFFFFFFC      # in the place of a connection's id: the set of handshakes


cdef class Handshakes:
    # A set within that of the reactor; None before open(), which is called for the first listener with filters
    cdef Poll poll
    cdef bint is_due                # the reactor's poll driver has reported the set
    cdef HandshakeMemory memory

    cdef int open(self, Poll outer) except -1
    # Continues some of those that are ready, and accepts from their listeners. A reactor does it in a turn.
    cdef int run(self, ConnectionHost host, ConnectionTable table, Accepting accepting) except -1
    cdef int close(self) except -1
    cdef int reset_in_child(self) except -1
