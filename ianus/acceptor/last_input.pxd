"""The last bytes of a peer that has closed its end, so that nothing can be sent to it."""
from ianus.acceptor.connection cimport Connection

# Read the bytes for the session, or discard them, and close. Called again while a codec is on the stack.
cdef int read_rest(Connection connection) except -1
cdef int discard_rest(Connection connection) except -1
