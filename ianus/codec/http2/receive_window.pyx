"""Decides when a client may send more, and how much.

Credit is collected up to half of a window, so that small pieces do not cost a frame each. A client that has used nearly
all of its window by then is perhaps limited by it: the window grows, and so an upload over a long distance is faster.
The window of a connection does not wait for that once the client has nothing left: bodies that no application takes may
use up the other half, and must not stop all others.

Compiled because the codec's types are.
"""


cdef enum:
    GROWTH_SHARE = 8    # a window grows if less than this part of it is left at an update


cdef void open_window(ReceiveWindow* window, int size, int max_size) noexcept:
    window.size = window.left = size
    window.max_size = max(size, max_size)
    window.credit = 0


cdef int note_consumed(ReceiveWindow* window, Py_ssize_t size, bint shared) noexcept:
    cdef int increment
    window.credit += <int>size
    if window.credit < window.size >> 1:
        if not shared or window.left > 0:
            return 0
    elif window.left < window.size // GROWTH_SHARE and window.size < window.max_size:
        # As much is added to the credit as to the window, so `left` and `credit` stay in it.
        increment = min(window.size, window.max_size - window.size)
        window.size += increment
        window.credit += increment
    increment = window.credit
    window.left += increment
    window.credit = 0
    return increment
