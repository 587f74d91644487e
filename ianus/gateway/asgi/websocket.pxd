"""WebSocket in the ASGI gateway (ASGI WebSocket, spec version 2.5)."""
cimport cython
from ianus.exchange.websocket cimport WebSocket
from ianus.gateway.asgi.gateway cimport AsgiExchange


# What the application has said so far.
cdef enum State:
    CONNECTING          # nothing
    DENYING             # it has begun an HTTP response (extension websocket.http.response)
    OPEN                # websocket.accept
    CLOSED              # websocket.close, or the end of that response


@cython.no_gc
cdef class AsgiWebSocket(AsgiExchange):
    cdef State state
    cdef bint connect_told          # websocket.connect was received
    cdef bytes accept               # Sec-WebSocket-Accept
    cdef list offered               # subprotocols
    cdef tuple negotiated           # Sec-WebSocket-Extensions and what it promises (codec/websocket/handshake), or None
    cdef WebSocket conversation     # from websocket.accept on

    cdef int accept_connection(self, dict message) except -1
    cdef int deny(self, dict message) except -1
    cdef int handle_send(self, dict message) except -1
    cdef int handle_close(self, dict message) except -1
    cdef int close_open(self, int code, str reason) except -1
    cdef int close_by_stop(self) except -1
    cdef double stop_time(self) noexcept    # when that is due because a successor has taken over, 0 = it is not
    cdef int finish(self) except -1
    cdef int end_tunnel(self) except -1
