"""Frames of HTTP/2 (RFC 9113 sections 4.1 and 6): their headers, and the small ones that the server sends."""
from libc.stdint cimport uint32_t

from ianus.codec.base cimport ErrorCode
from ianus.codec.output cimport Output


cdef enum FrameType:
    DATA = 0x0
    HEADERS = 0x1
    PRIORITY = 0x2
    RST_STREAM = 0x3
    SETTINGS = 0x4
    PUSH_PROMISE = 0x5
    PING = 0x6
    GOAWAY = 0x7
    WINDOW_UPDATE = 0x8
    CONTINUATION = 0x9
    PRIORITY_UPDATE = 0x10      # RFC 9218 section 7.1


cdef enum FrameFlag:
    ACK = 0x1                   # of SETTINGS and PING
    END_STREAM = 0x1            # of DATA and HEADERS
    END_HEADERS = 0x4
    PADDED = 0x8
    HAS_PRIORITY = 0x20         # of HEADERS


cdef enum:
    FRAME_HEADER_BYTES = 9
    # The initial value of SETTINGS_MAX_FRAME_SIZE. The server does not change its own, and uses no more of the
    # client's: a frame delays more urgent streams as long as it lasts.
    MAX_FRAME_BYTES = 16384
    PING_BYTES = 8
    RESET_BYTES = 4
    PRIORITY_BYTES = 5
    SETTING_BYTES = 6
    WINDOW_UPDATE_BYTES = 4
    MIN_GOAWAY_BYTES = 8
    MAX_STREAM = 0x7FFFFFFF


cdef struct FrameHeader:
    Py_ssize_t size             # bytes of the payload
    unsigned char type
    unsigned char flags
    int stream


cdef inline uint32_t read_uint32(const char* data) noexcept:
    cdef const unsigned char* at = <const unsigned char*>data
    return <uint32_t>at[0] << 24 | <uint32_t>at[1] << 16 | <uint32_t>at[2] << 8 | at[3]


cdef inline int read_uint31(const char* data) noexcept:
    """A number whose highest bit is reserved, and ignored by the recipient (RFC 9113 section 4.1)."""
    return <int>(read_uint32(data) & 0x7FFFFFFF)


cdef inline void write_uint32(char* at, uint32_t value) noexcept:
    at[0] = <char>(value >> 24)
    at[1] = <char>(value >> 16)
    at[2] = <char>(value >> 8)
    at[3] = <char>value


cdef inline void read_frame_header(const char* data, FrameHeader* header) noexcept:
    header.size = read_uint32(data) >> 8
    header.type = <unsigned char>data[3]
    header.flags = <unsigned char>data[4]
    header.stream = read_uint31(data + 5)


cdef inline void write_frame_header(
    char* at, Py_ssize_t size, FrameType kind, unsigned char flags, int stream
) noexcept:
    """FRAME_HEADER_BYTES at `at`."""
    write_uint32(at, <uint32_t>size << 8 | kind)
    at[4] = <char>flags
    write_uint32(at + 5, <uint32_t>stream)


# Write one frame to the output.
cdef int write_reset(Output out, int stream, ErrorCode code) except -1
cdef int write_window_update(Output out, int stream, int increment) except -1
cdef int write_ping(Output out, const char* payload, bint ack) except -1
cdef int write_settings_ack(Output out) except -1
cdef int write_goaway(Output out, int last_stream, ErrorCode code, const char* reason, Py_ssize_t size) except -1
