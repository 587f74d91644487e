"""The time for which the client has closed a window while output waited for it: of a stream, or of the connection.

A client that opens a window byte by byte, or opens it for a moment, would otherwise hold the output for ever, at the
cost of a small frame a minute. So its time continues at each closure, until it has admitted MIN_ADMITTED_BYTES.
"""


cdef enum:
    MIN_ADMITTED_BYTES = 4096


cdef struct Stall:
    double since        # when the window was closed, minus `before`; 0 = it is open, or no output waits
    double before       # seconds of earlier closures
    int admitted        # bytes that were sent since the first of them


cdef inline void start_stall(Stall* stall, double now) noexcept:
    stall.since = now - stall.before


cdef inline void pause_stall(Stall* stall, double now) noexcept:
    """The client has opened the window."""
    if stall.since:
        stall.before = now - stall.since
        stall.since = 0


cdef inline void end_stall(Stall* stall) noexcept:
    """No output waits any more."""
    stall.since = stall.before = 0
    stall.admitted = 0


cdef inline void note_admitted(Stall* stall, Py_ssize_t size) noexcept:
    """Called for sent bytes."""
    if stall.before:
        stall.admitted += <int>size
        if stall.admitted >= MIN_ADMITTED_BYTES:
            stall.before = 0
            stall.admitted = 0
