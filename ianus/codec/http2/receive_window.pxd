"""The flow control of received bytes (RFC 9113 section 5.2): of one stream, or of the connection.

Credit is given for consumed bytes alone. So a window is also the limit of the bytes that an exchange can be made to
keep: those of all streams together are at most the window of their connection.
"""


cdef struct ReceiveWindow:
    int size            # bytes that the client may have sent and that are not consumed
    int max_size        # to which it may grow
    int left            # bytes that the client may still send
    int credit          # bytes consumed and not reported to the client yet


cdef void open_window(ReceiveWindow* window, int size, int max_size) noexcept


cdef inline bint note_received(ReceiveWindow* window, Py_ssize_t size) noexcept:
    """Whether the window admits these bytes."""
    window.left -= <int>size
    return window.left >= 0


# Bytes were consumed. Returns the increment of a WINDOW_UPDATE to send, or 0. shared: by several streams
cdef int note_consumed(ReceiveWindow* window, Py_ssize_t size, bint shared) noexcept
