"""The socket of a connection, for a thread that reads the body of a request."""
from ianus.exchange.base cimport BodyInput


cdef class BodySocket(BodyInput):
    # Owned: a copy of the connection's descriptor. So a read after the connection was closed cannot reach another
    # connection that has got its number.
    cdef int fd


# None if the process cannot open another descriptor.
cdef BodySocket body_socket(int fd)
