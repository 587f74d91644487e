"""Finds the ends of WebSocket frames (RFC 6455 section 5.2), for a stream whose messages the application reads itself.

Rule: nothing is checked, and no length overflows. A frame that is invalid is the application's to refuse.

Compiled because it looks at each frame of such a stream.
"""
from libc.string cimport memcpy

from ianus.codec.websocket.codec cimport CLOSE


cdef enum:
    MIN_HEADER_BYTES = 2
    MASK_BYTES = 4
    LENGTH_16 = 126     # a length of 16 bits follows
    LENGTH_64 = 127     # a length of 64 bits follows


cdef class FrameBoundary:
    """The position in a stream of frames."""

    cdef Py_ssize_t feed(self, const char* data, Py_ssize_t size) noexcept:
        cdef Py_ssize_t used = 0, part
        while self.left == 0:
            part = min(<Py_ssize_t>(header_size(self.header, self.header_bytes) - self.header_bytes), size - used)
            memcpy(self.header + self.header_bytes, data + used, part)
            self.header_bytes += <int>part
            used += part
            if self.header_bytes < header_size(self.header, self.header_bytes):
                # Either more of the header is needed now, or the input has ended.
                if used == size:
                    return used
                continue
            self.left = payload_size(self.header)
            if self.left == 0:
                self.end_frame()
                return used
        if self.left <= <unsigned long long>(size - used):
            used += <Py_ssize_t>self.left
            self.left = 0
            self.end_frame()
            return used
        self.left -= <unsigned long long>(size - used)
        return size

    cdef bint is_between_frames(self) noexcept:
        return self.header_bytes == 0

    cdef int end_frame(self) noexcept:
        self.header_bytes = 0
        if self.header[0] & 15 == CLOSE:
            self.close_seen = True
        return 0


cdef int header_size(const unsigned char* header, int known) noexcept:
    """The size of a header of which `known` bytes are there, as far as these show it."""
    cdef int size = MIN_HEADER_BYTES
    if known < MIN_HEADER_BYTES:
        return size
    if header[1] & 0x7f == LENGTH_16:
        size += 2
    elif header[1] & 0x7f == LENGTH_64:
        size += 8
    return size + MASK_BYTES if header[1] & 0x80 else size


cdef unsigned long long payload_size(const unsigned char* header) noexcept:
    cdef unsigned long long size = 0
    cdef int length = header[1] & 0x7f, count = 0, i
    if length < LENGTH_16:
        return length
    count = 2 if length == LENGTH_16 else 8
    for i in range(count):
        size = size << 8 | header[2 + i]
    return size


cdef bytes client_close_frame(int code):
    # RFC 6455 section 5.3: a client masks. A key of zeros does not change the payload.
    return bytes((0x80 | CLOSE, 0x80 | 2, 0, 0, 0, 0, code >> 8, code & 255))


def frame_ends(pieces) -> list:
    """Returns the positions in the stream of these pieces at which frames end; for tests."""
    cdef FrameBoundary boundary = FrameBoundary()
    cdef Py_ssize_t position = 0, used
    cdef bytes piece
    cdef const char* data
    ends = []
    for piece in pieces:
        data = piece
        used = 0
        while used < len(piece):
            used += boundary.feed(data + used, len(piece) - used)
            if boundary.is_between_frames():
                ends.append(position + used)
        position += used
    return ends
