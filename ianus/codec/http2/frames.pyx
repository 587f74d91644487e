"""Writes the small frames of HTTP/2.

Compiled because the codec's types are.
"""
from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from ianus.codec.base cimport ErrorCode
from ianus.codec.output cimport Output


cdef enum:
    SMALL_FRAME_BYTES = 24      # the longest one here, GOAWAY, without its reason
    MAX_REASON_BYTES = 128      # of the debug data in GOAWAY


cdef int write_reset(Output out, int stream, ErrorCode code) except -1:
    cdef char frame[SMALL_FRAME_BYTES]
    write_frame_header(frame, RESET_BYTES, RST_STREAM, 0, stream)
    write_uint32(frame + FRAME_HEADER_BYTES, code)
    return out.write(frame, FRAME_HEADER_BYTES + RESET_BYTES)


cdef int write_window_update(Output out, int stream, int increment) except -1:
    cdef char frame[SMALL_FRAME_BYTES]
    write_frame_header(frame, WINDOW_UPDATE_BYTES, WINDOW_UPDATE, 0, stream)
    write_uint32(frame + FRAME_HEADER_BYTES, <uint32_t>increment)
    return out.write(frame, FRAME_HEADER_BYTES + WINDOW_UPDATE_BYTES)


cdef int write_ping(Output out, const char* payload, bint ack) except -1:
    cdef char frame[SMALL_FRAME_BYTES]
    write_frame_header(frame, PING_BYTES, PING, ACK if ack else 0, 0)
    memcpy(frame + FRAME_HEADER_BYTES, payload, PING_BYTES)
    return out.write(frame, FRAME_HEADER_BYTES + PING_BYTES)


cdef int write_settings_ack(Output out) except -1:
    cdef char frame[FRAME_HEADER_BYTES]
    write_frame_header(frame, 0, SETTINGS, ACK, 0)
    return out.write(frame, FRAME_HEADER_BYTES)


cdef int write_goaway(Output out, int last_stream, ErrorCode code, const char* reason, Py_ssize_t size) except -1:
    """reason: debug data for people (RFC 9113 section 6.8)."""
    cdef char frame[SMALL_FRAME_BYTES + MAX_REASON_BYTES]
    size = min(size, <Py_ssize_t>MAX_REASON_BYTES)
    write_frame_header(frame, MIN_GOAWAY_BYTES + size, GOAWAY, 0, 0)
    write_uint32(frame + FRAME_HEADER_BYTES, <uint32_t>last_stream)
    write_uint32(frame + FRAME_HEADER_BYTES + 4, code)
    memcpy(frame + FRAME_HEADER_BYTES + MIN_GOAWAY_BYTES, reason, size)
    return out.write(frame, FRAME_HEADER_BYTES + MIN_GOAWAY_BYTES + size)
