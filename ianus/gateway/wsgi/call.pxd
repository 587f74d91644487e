"""The application's side of a WSGI exchange: one call of the application (PEP 3333)."""
cimport cython
from ianus.gateway.wsgi.exchange cimport WsgiExchange
from ianus.gateway.wsgi.gateway cimport WsgiGateway
from ianus.gateway.wsgi.outbox cimport Outbox


cdef enum:
    MAX_JOINED_BYTES = 65536    # blocks of a body are joined if they have at most this size together


@cython.final
@cython.no_gc
cdef class WsgiCall(Outbox):
    # Its request is complete and does not change any more. The exchange refers to the call until that has returned.
    cdef WsgiExchange exchange
    cdef WsgiGateway gateway
    cdef void* vectorcall           # call_start_response(), at the offset that the type names
    cdef bint ended_silently        # it has raised StopIteration, and nothing was logged
    cdef bint start_called          # start_response() was called, perhaps with an error

    cdef int run_application(self) except -1
    cdef dict environ(self)
    cdef int start(self, object status, object headers) except -1   # start_response() after its check of exc_info
    cdef int send_result(self, object result) except -1
    cdef int send_sequence(self, object blocks) except -1
    cdef int on_application_raised(self, object error) except -1
    cdef bint is_expected(self, object error) except -1
    cdef int report_raised(self, str phrase, object error) except -1


# Makes the call of a complete request.
cdef WsgiCall new_call(WsgiExchange exchange)
