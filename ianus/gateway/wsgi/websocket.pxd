"""A WebSocket of a WSGI application, which reads and writes the frames itself (`gunicorn.socket` in its environ).

The application has one end of a socket pair. The other end is a connection of the reactor, the relay. So the
application has a socket of the kernel, and no byte of it needs a lock or passes the TLS of the client's connection.
"""
cimport cython
from ianus.codec.websocket.boundary cimport FrameBoundary
from ianus.exchange.base cimport Transport
from ianus.gateway.wsgi.exchange cimport WsgiExchange


cdef enum RelayState:
    UNUSED              # the application has not written a whole response head to its socket
    HEAD_RECEIVED       # ... and now it has
    RELAYING            # that was a 101: bytes pass in both directions
    ANSWERING           # that was another response, whose body is received
    ENDED               # the client is not connected to the application's socket any more, or never was


@cython.no_gc
cdef class WsgiWebSocket(WsgiExchange):
    cdef RelayState state
    cdef bint answered_on_socket    # HEAD_RECEIVED was reached: other output of the call is dropped
    cdef bint input_paused          # the client is not read, since the application does not read
    # The connection to the application, until it is closed. A cycle, which ends then: its session has this exchange.
    cdef Transport relay
    cdef bytes head                 # in HEAD_RECEIVED, without its empty line; empty if it is too long
    cdef bytes piece                # of the body in ANSWERING, until run_relay()
    cdef FrameBoundary frames       # from the client; None before the 101
    cdef FrameBoundary sent_frames  # from the application; likewise
    cdef int close_code             # for the application, because of a stop; 0 = none
    cdef bint input_ended           # nothing more is passed to the application
    cdef double close_deadline      # when the end of the application is waited for no longer, 0 = it is not waited for

    # From the session of the relay
    cdef Py_ssize_t relay_received(self, const char* data, Py_ssize_t size) except -1
    cdef int run_relay(self) except -1              # no codec is on the stack
    cdef bint accepts_relayed(self) noexcept        # relay_received() would take bytes
    cdef int on_relay_writable(self) except -1      # the application has read
    cdef int on_relay_finished(self) except -1      # the application sends nothing more
    cdef int on_relay_lost(self) except -1          # the relay is closed
    # Inside
    cdef bint open_relay(self) except -1
    cdef int answer(self) except -1
    cdef int open_tunnel(self, list fields) except -1
    cdef int start_answer(self, int status, bytes reason, list fields) except -1
    cdef int send_answer(self, bytes piece, bint more) except -1
    cdef int end_tunnel(self) except -1
    cdef int end_after_call(self) except -1
    cdef int disconnect_application(self) except -1
    cdef int close_for_stop(self) except -1
