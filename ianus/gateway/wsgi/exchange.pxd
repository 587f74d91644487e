"""One WSGI request on the connection's side; its call is made on the application's side (call.pxd).

A WSGI exchange has two sides. The connection's side is like that of any other exchange: it belongs to the thread that
serves the reactor. The application's side is the one thread that makes the call. The outbox is between them.
"""
cimport cython
from ianus.codec.base cimport HeadEncoder
from ianus.exchange.http cimport Exchange
from ianus.gateway.wsgi.outbox cimport Outbox


@cython.no_gc
cdef class WsgiExchange(Exchange):
    cdef object spool               # gateway/wsgi/spool.SpoolFile of a big body, or None
    cdef str spool_error            # reason why the body could not be stored, or None
    cdef long long body_size        # bytes of the body
    cdef bint submitted             # the request is complete and was given to the thread pool
    cdef Outbox outbox              # of its call, from the submission until the call has returned; else None
    cdef HeadEncoder encoder        # of heads, for the application's side; it needs no connection

    # notify_readable() decides between these:
    cdef int cancel_queued(self) except -1
    cdef int reject_unstored_body(self) except -1
    cdef int submit(self) except -1
    # From the call, on the connection's side
    cdef int send_output(
        self, Outbox outbox, list hints, object head, long long length, object pieces, bint end, bint failed,
        bint returned
    ) except -1
    cdef int end_call(self) except -1
    # Inside
    cdef int send_parts(self, Outbox outbox, list hints, object head, object pieces, bint end, bint failed) except -1
    cdef int send_part(self, object piece, bint more) except -1
    cdef int remove_from_flight(self) except -1
