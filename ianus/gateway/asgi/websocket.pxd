"""WebSocket in the ASGI gateway (ASGI WebSocket, spec version 2.5)."""
cimport cython
from ianus.exchange.websocket cimport WebSocket
from ianus.gateway.asgi.exchange cimport AsgiExchange


# The application's answer to the handshake so far.
cdef enum HandshakeState:
    CONNECTING          # none
    DENYING             # it has started an HTTP response (extension websocket.http.response)
    OPEN                # websocket.accept
    CLOSED              # websocket.close, or the end of the HTTP response


@cython.no_gc
cdef class AsgiWebSocket(AsgiExchange):
    cdef HandshakeState state
    cdef bint connect_received      # websocket.connect was received
    cdef bytes accept_value         # Sec-WebSocket-Accept
    cdef list offered               # subprotocols
    cdef tuple negotiated           # (Sec-WebSocket-Extensions, Deflate) of codec/websocket/handshake, or None
    cdef WebSocket conversation     # None before websocket.accept

    cdef int accept_connection(self, dict message) except -1
    cdef int start_denial(self, dict message) except -1
    cdef int send_websocket_message(self, dict message) except -1
    cdef int close_websocket(self, dict message) except -1
    cdef int close_open(self, int code, str reason) except -1
    cdef int close_for_stop(self) except -1
    cdef double stop_close_time(self) noexcept    # time of close_for_stop() after a handover, 0 = none
    cdef int finish_tunnel(self) except -1
    cdef int end_tunnel(self) except -1
