"""Reads a client's SETTINGS, and builds those of the server.

Compiled because the codec's types are.
"""
from libc.stdint cimport uint32_t

from ianus.codec.base cimport FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, NO_ERROR, PROTOCOL_ERROR, ErrorCode
from ianus.codec.http2.frames cimport (
    FRAME_HEADER_BYTES, MAX_FRAME_BYTES, SETTING_BYTES, SETTINGS, WINDOW_UPDATE, WINDOW_UPDATE_BYTES, read_uint32,
    write_frame_header, write_uint32,
)


# RFC 9113 section 6.5.2, RFC 8441 section 3, RFC 9218 section 2.1
cdef enum:
    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6
    ENABLE_CONNECT_PROTOCOL = 0x8
    NO_RFC7540_PRIORITIES = 0x9

cdef enum:
    MAX_FRAME_SIZE_LIMIT = 0xFFFFFF


cdef void reset_settings(ClientSettings* settings) noexcept:
    settings.window = INITIAL_WINDOW_BYTES
    settings.table_size = settings.min_table_size = INITIAL_TABLE_BYTES


cdef ErrorCode apply_settings(
    ClientSettings* settings, const char* payload, Py_ssize_t size, const char** reason
) noexcept:
    cdef Py_ssize_t at
    cdef ErrorCode code
    if size % SETTING_BYTES:
        reason[0] = "SETTINGS of an invalid size"
        return FRAME_SIZE_ERROR
    for at in range(0, size, SETTING_BYTES):
        code = apply_setting(
            settings, <unsigned char>payload[at] << 8 | <unsigned char>payload[at + 1], read_uint32(payload + at + 2),
            reason,
        )
        if code != NO_ERROR:
            return code
    return NO_ERROR


cdef ErrorCode apply_setting(ClientSettings* settings, int name, uint32_t value, const char** reason) noexcept:
    if name == HEADER_TABLE_SIZE:
        settings.table_size = value
        settings.min_table_size = min(settings.min_table_size, value)
    elif name == INITIAL_WINDOW_SIZE:
        if value > <uint32_t>MAX_WINDOW_BYTES:
            reason[0] = "SETTINGS_INITIAL_WINDOW_SIZE over 2^31-1"
            return FLOW_CONTROL_ERROR
        settings.window = <int>value
    elif name == MAX_FRAME_SIZE:
        # Only checked: the server sends no longer frames than all clients take.
        if not MAX_FRAME_BYTES <= value <= MAX_FRAME_SIZE_LIMIT:
            reason[0] = "SETTINGS_MAX_FRAME_SIZE out of its range"
            return PROTOCOL_ERROR
    elif name in (ENABLE_PUSH, ENABLE_CONNECT_PROTOCOL, NO_RFC7540_PRIORITIES):
        # The server pushes nothing, and opens no streams.
        if value > 1:
            reason[0] = "a setting that is neither 0 nor 1"
            return PROTOCOL_ERROR
    # Others are ignored, as an unknown one must be (RFC 9113 section 6.5.2).
    return NO_ERROR


cdef bytes build_opening(
    int max_streams, int stream_window, int connection_window, Py_ssize_t max_fields_bytes, bint extended_connect
):
    cdef list values = [
        (MAX_CONCURRENT_STREAMS, max_streams),
        (INITIAL_WINDOW_SIZE, stream_window),
        (MAX_HEADER_LIST_SIZE, max_fields_bytes),
        # RFC 9218 section 2.1: clients need not send the priorities of RFC 7540, which are ignored here.
        (NO_RFC7540_PRIORITIES, 1),
    ]
    cdef char header[FRAME_HEADER_BYTES]
    cdef char increment[WINDOW_UPDATE_BYTES]
    if extended_connect:
        values.append((ENABLE_CONNECT_PROTOCOL, 1))
    payload = b"".join([name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in values])
    write_frame_header(header, len(payload), SETTINGS, 0, 0)
    opening = header[:FRAME_HEADER_BYTES] + payload
    if connection_window > INITIAL_WINDOW_BYTES:
        # SETTINGS do not change the connection's window (RFC 9113 section 6.9.2).
        write_frame_header(header, WINDOW_UPDATE_BYTES, WINDOW_UPDATE, 0, 0)
        write_uint32(increment, <uint32_t>(connection_window - INITIAL_WINDOW_BYTES))
        opening += header[:FRAME_HEADER_BYTES] + increment[:WINDOW_UPDATE_BYTES]
    return opening
