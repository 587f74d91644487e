"""A request body that the application reads while it arrives."""
from ianus.exchange.base cimport BodyInput
from ianus.exchange.service cimport Service
from ianus.gateway.wsgi.outbox cimport Outbox


cdef class ArrivingBody:
    """`wsgi.input` of a call that was made before its body was complete. Used by the application's side.

    The connection's side makes it, and reads `received` and `expired`.
    """
    cdef Service service
    cdef BodyInput source           # None after close()
    cdef Outbox call                # whose client is waited for; None after close(), which ends the cycle
    cdef bytes first                # the bytes that had arrived before the call
    cdef Py_ssize_t first_read      # ... and how many of them were read
    cdef long long left             # bytes that have not been received
    cdef long long received         # bytes received here
    cdef long long noted            # ... of which the connection's side knows
    cdef double waited              # seconds that the client had for the bytes so far
    cdef bint expired               # the client was too slow
    cdef bint cut                   # the connection's side reads and discards the rest

    cdef object open(self)          # the file for the environ
    cdef int close(self) except -1  # the call has returned: nothing is read any more
    # Inside
    cdef Py_ssize_t read_some(self, char* buffer, Py_ssize_t size) except -1
    cdef int check_open(self) except -1
    cdef int wait(self, BodyInput source) except -1
    cdef int expire(self) except -1


# first: the bytes that have arrived, in `seconds`. left: the number of all others.
cdef ArrivingBody arriving_body(
    BodyInput source, Service service, Outbox call, bytes first, long long left, double seconds
)
