"""One WebSocket conversation (RFC 6455) in the tunnel that an exchange has become."""
cimport cython
from ianus.codec.websocket.codec cimport WebSocketCodec, WebSocketSink
from ianus.codec.websocket.deflate cimport Deflate
from ianus.exchange.http cimport Exchange
from ianus.exchange.service cimport WebSocketRules


@cython.no_gc
cdef class WebSocket(WebSocketSink):
    cdef Exchange exchange          # whose tunnel it is; None once that is gone
    cdef WebSocketRules rules
    cdef WebSocketCodec codec
    cdef object next_message        # the oldest message received and not taken, or None
    cdef list queue                 # the messages after it, or None
    cdef Py_ssize_t queued          # bytes or characters of all of them
    # How it ends
    cdef readonly int code          # 0 = it has not ended for the application
    cdef readonly str reason
    cdef bint close_sent
    cdef readonly bint peer_closed  # the peer has sent its close frame, and nothing after it
    cdef readonly bint over         # nothing can be received or sent any more: the connection is to be closed
    # Times of CLOCK_MONOTONIC_COARSE, in seconds
    cdef double last_received_at    # when bytes arrived last
    cdef double ping_sent_at        # when a ping was sent that nothing has answered, 0 = there is none
    cdef double close_deadline      # when the peer's close frame is waited for no longer, 0 = it is not waited for

    # From the exchange. No application code runs in any of these.
    cdef Py_ssize_t received(self, const char* data, Py_ssize_t size) except -1     # bytes consumed
    cdef bint accepts(self) noexcept            # received() would take bytes
    cdef object take_message(self)              # the next message, str or bytes; None when there is none
    cdef int send(self, object message) except -1       # str or bytes
    cdef int close(self, int code, str reason) except -1
    cdef int resume_reading(self) except -1     # something that kept it from reading may be over
    cdef int mark_lost(self, int code, str reason) except -1  # the connection is gone, or as good as gone
    cdef double deadline(self) noexcept
    cdef int expired(self) except -1
    # Inside
    cdef int send_frame(self, int opcode, bint compressed, const char* data, Py_ssize_t size, bytes owner) except -1
    cdef int send_close(self, int code, str reason) except -1
    cdef int end(self, int code_sent, str reason_sent, int code, str reason) except -1
    cdef int note_end(self, int code, str reason) except -1
    cdef bint queue_full(self) noexcept


cdef WebSocket open_conversation(Exchange exchange, WebSocketRules rules, Deflate deflate)
