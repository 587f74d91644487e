"""One WSGI request on the connection's side; its call is made on the application's side (call.pxd).

A WSGI exchange has two sides. The connection's side is like that of any other exchange: it belongs to the thread that
serves the reactor. The application's side is the one thread that makes the call. The outbox is between them.
"""
cimport cython
from ianus.codec.base cimport HeadEncoder
from ianus.exchange.tunnel cimport TunnelExchange
from ianus.gateway.wsgi.arriving_body cimport ArrivingBody
from ianus.gateway.wsgi.outbox cimport Outbox


@cython.no_gc
cdef class WsgiExchange(TunnelExchange):
    cdef object spool               # gateway/wsgi/spool.SpoolFile of a big body, or None
    cdef str spool_error            # reason why the body could not be stored, or None
    cdef long long body_size        # bytes of the body
    cdef bint pace_known            # it was decided whether the application reads the body while it arrives
    cdef ArrivingBody arriving_body     # ... if so, until the call has returned
    cdef bint holds_body_thread     # ... which has a thread of those for such calls
    cdef bint submitted             # the request was given to the thread pool
    cdef Outbox outbox              # of its call, from the submission until the call has returned; else None
    # `gunicorn.socket` of its environ, or None. The call's from the submission on.
    cdef object application_socket
    cdef HeadEncoder encoder        # of heads, for the application's side; it needs no connection

    # notify_readable() decides between these:
    cdef int cancel_queued(self) except -1
    cdef int reject_unstored_body(self) except -1
    cdef int submit(self) except -1
    cdef bint submit_early(self) except -1
    cdef int store_body(self, bytes data) except -1
    # From the call, on the connection's side
    cdef int send_output(
        self, Outbox outbox, list hints, object head, long long length, object pieces, bint end, bint failed,
        bint returned
    ) except -1
    cdef int end_call(self) except -1
    # Inside
    cdef int send_parts(self, Outbox outbox, list hints, object head, object pieces, bint end, bint failed) except -1
    cdef int send_part(self, object piece, bint more) except -1
    cdef int note_arrived_body(self, bint returned) except -1
    cdef int remove_from_flight(self) except -1
