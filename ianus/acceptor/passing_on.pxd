"""Passes connections to other workers."""
from ianus.acceptor.connection cimport Connection
from ianus.acceptor.transfers cimport Transfers

# Returns whether the connection was passed on. transfers: may be None.
cdef bint pass_on(Connection connection, Transfers transfers) except -1
