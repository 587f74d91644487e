"""The calls of a byte filter in which the session of the connection may be replaced."""
from ianus.acceptor.byte_filter cimport ByteFilter
from ianus.acceptor.connection cimport Connection


# Returns as receive() of the filter; NOTHING_RECEIVED also if the connection is closing.
cdef Py_ssize_t receive_filtered(Connection connection, char* target, Py_ssize_t space) except? -3
# Called after switch_session().
cdef int start_filter(Connection connection, ByteFilter filter) except -1
