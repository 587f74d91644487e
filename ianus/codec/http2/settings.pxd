"""SETTINGS of both sides (RFC 9113 section 6.5)."""
from libc.stdint cimport uint32_t

from ianus.codec.base cimport ErrorCode


cdef enum:
    INITIAL_WINDOW_BYTES = 65535    # of streams and connections, until one side changes it (RFC 9113 section 6.9.2)
    MAX_WINDOW_BYTES = 0x7FFFFFFF
    INITIAL_TABLE_BYTES = 4096      # of HPACK's dynamic table


# The settings of a client that matter to a server.
cdef struct ClientSettings:
    int window                      # bytes that may be sent on a new stream
    uint32_t table_size             # of the client's HPACK decoder
    uint32_t min_table_size         # the smallest one that the encoder does not know yet (RFC 7541 section 4.2)


cdef void reset_settings(ClientSettings* settings) noexcept
# Applies the payload of a SETTINGS frame. Returns NO_ERROR, or the code of a connection error with a static text in
# reason.
cdef ErrorCode apply_settings(
    ClientSettings* settings, const char* payload, Py_ssize_t size, const char** reason
) noexcept
# The frames that start a connection: SETTINGS, and the window of the connection.
cdef bytes build_opening(
    int max_streams, int stream_window, int connection_window, Py_ssize_t max_fields_bytes, bint extended_connect
)
