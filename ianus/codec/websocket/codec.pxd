"""The frames of one WebSocket connection (RFC 6455 section 5): a client's read, a server's written.

Rule of this file: a sink call may pause the codec; it never feeds it or runs application code.
"""
cimport cython

from ianus.codec.websocket.deflate cimport Deflate
from ianus.codec.websocket.message cimport Message


cdef enum Opcode:
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8               # from here on: control frames
    PING = 9
    PONG = 10


# The reason for closing a connection (RFC 6455 section 7.4.1 and its registry).
cdef enum CloseCode:
    NORMAL = 1000
    GOING_AWAY = 1001       # the server stops
    PROTOCOL_ERROR = 1002
    NO_CODE = 1005          # stands for a close frame without a code; never sent
    LOST = 1006             # stands for a connection that ended without a close frame; never sent
    INVALID_DATA = 1007     # not UTF-8, not DEFLATE
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012


cdef enum:
    MAX_CONTROL_BYTES = 125  # bytes of payload of a control frame
    MAX_READ_HEADER_BYTES = 14  # bytes of a header with a key
    MAX_HEADER_BYTES = 10   # bytes of a header without


# Receives the events of a codec. Every method's default raises: a sink implements them all.
@cython.no_gc
cdef class WebSocketSink:
    cdef int on_message(self, object message) except -1     # a whole one: str or bytes
    cdef int on_ping(self, bytes payload) except -1
    cdef int on_pong(self, bytes payload) except -1
    # Nothing is parsed after these two. on_close: the peer's close frame, NO_CODE if it has none. on_error: the peer
    # violated the protocol or the limit; `code` is for the close frame to it.
    cdef int on_close(self, int code, str reason) except -1
    cdef int on_error(self, int code, str reason) except -1


# The state of reading.
cdef enum FrameState:
    HEADER          # in front of a frame, or in its header
    PAYLOAD         # `left` bytes of its payload follow
    ENDED           # after a close frame or an error: all input is discarded


@cython.no_gc
@cython.final
cdef class WebSocketCodec:
    # Connection
    cdef WebSocketSink sink         # set and unset by the owner of this codec
    cdef Deflate deflate            # None unless it was negotiated
    cdef bint paused                # feed() stops after the current frame; set in a sink call, or at any time
    cdef Py_ssize_t ws_max_size     # bytes of a whole message, inflated
    cdef FrameState state
    # Frame
    cdef unsigned char header[MAX_READ_HEADER_BYTES]  # of one that is received in pieces
    cdef unsigned char header_size                  # bytes of it received; 0 between frames
    cdef unsigned char opcode
    cdef bint final                                 # it is the last one of its message
    cdef unsigned char key[4]                       # key[0] is for the next byte
    cdef unsigned long long left
    cdef bytes control                              # payload of a control frame, filled as bytes arrive; else None
    # Message
    cdef bint compressed            # that of the last first frame
    cdef Message message            # None between messages, and in the first piece of one

    # Reads up to `size` bytes and returns the number consumed: all, unless paused. The code that paused it passes the
    # rest again later.
    cdef Py_ssize_t feed(self, const char* data, Py_ssize_t size) except -1

    cdef Py_ssize_t read_header(self, const unsigned char* data, Py_ssize_t size) except -1
    cdef bint check_start(self, const unsigned char* header) except -1
    cdef int start_payload(self, const unsigned char* header) except -1
    cdef int read_payload(self, const unsigned char* data, Py_ssize_t size) except -1
    cdef int read_control(self, const unsigned char* data, Py_ssize_t size) except -1
    cdef int end_control(self, bytes payload) except -1
    cdef int end_connection(self, bytes payload) except -1
    cdef int read_whole(self, const unsigned char* data, Py_ssize_t size) except -1
    cdef int read_piece(self, const unsigned char* data, Py_ssize_t size) except -1
    cdef int inflate_piece(self, const unsigned char* data, Py_ssize_t size, bint last) except -1
    cdef int fail(self, int code, str reason) except -1


# Writing. The header of a server's frame that is a whole message, or a control frame: final and not masked. Returns its
# size: 2, 4 or 10 bytes.
cdef int write_header(unsigned char* to, int opcode, bint compressed, unsigned long long size) noexcept
# The payload of a close frame: empty for NO_CODE; the reason is cut at the character that does not fit.
cdef bytes close_payload(int code, str reason)
# Whether a close frame may carry the code.
cpdef bint may_close_with(int code) noexcept
