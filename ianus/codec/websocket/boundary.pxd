"""The boundaries of frames in a stream that the server passes on without reading its messages."""


cdef class FrameBoundary:
    cdef unsigned char[14] header       # the first bytes of the current frame (RFC 6455 section 5.2)
    cdef int header_bytes               # of them that were there
    cdef unsigned long long left        # bytes of its payload that were not there yet
    cdef bint close_seen                # a frame that closes the conversation has ended

    # Passes at most the rest of one frame. Returns the number of bytes that belong to it.
    cdef Py_ssize_t feed(self, const char* data, Py_ssize_t size) noexcept
    cdef bint is_between_frames(self) noexcept
    cdef int end_frame(self) noexcept


# A close frame as a client sends it.
cdef bytes client_close_frame(int code)
