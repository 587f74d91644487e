"""One stream of an HTTP/2 connection: its state, its windows and its queued output."""
cimport cython
from cpython.object cimport PyObject

from ianus.codec.base cimport ErrorCode
from ianus.codec.file_range cimport FileRange
from ianus.codec.http2.priority cimport Priority
from ianus.codec.http2.receive_window cimport ReceiveWindow
from ianus.codec.http2.stall cimport Stall


# Whether the DATA of a stream is a tunnel's (RFC 8441 section 5).
cdef enum TunnelState:
    NO_TUNNEL
    TUNNEL_REQUESTED            # an extended CONNECT, not answered yet
    TUNNEL_OPEN


# The list in which a stream is linked.
cdef enum StreamPlace:
    NOWHERE
    SCHEDULED                   # it has output that its window admits
    STALLED                     # it has output that its window does not admit


@cython.no_gc
@cython.final
cdef class Http2Stream:
    cdef int id
    cdef object owner               # the session's object
    # The state of RFC 9113 section 5.1 is in the first two: open, half-closed (local or remote), closed.
    cdef unsigned char input_ended      # END_STREAM or RST_STREAM was received, or RST_STREAM sent
    cdef unsigned char output_ended     # END_STREAM or RST_STREAM was sent, or RST_STREAM received
    cdef unsigned char was_reset        # ... by RST_STREAM
    cdef unsigned char was_refused      # its request is invalid, or exceeds a limit
    cdef unsigned char released         # the session does not need it any more
    cdef unsigned char input_unwanted   # further input is discarded
    cdef unsigned char end_queued       # the output ends after the queue
    cdef unsigned char reset_after      # RST_STREAM with this code follows the output, if the input has not ended then
    cdef unsigned char reset_queued     # ... even if it has
    cdef TunnelState tunnel
    cdef StreamPlace place
    cdef Priority priority

    # Input
    cdef ReceiveWindow window
    cdef int unconsumed             # bytes that the sink has got and that were not consumed
    cdef long long body_left        # of the declared length, -1 if none was declared
    cdef long long body_received
    cdef bytearray held             # bytes of a tunnel that wait, or None
    cdef bint held_end              # ... and its end

    # Output
    cdef int send_window            # bytes that the client admits; negative after a change (RFC 9113 section 6.9.2)
    cdef Py_ssize_t queued          # bytes in the queue
    cdef object piece               # the first entry of the queue: bytes or FileRange; None if it is empty
    cdef Py_ssize_t offset          # bytes of it that were sent, if it is a bytes object
    cdef list queue                 # the entries after it, or None
    cdef Py_ssize_t next_piece      # index of the next one
    cdef bytes trailers             # encoded; sent after the queue, and end the output
    cdef bint congested             # over the low watermark: the session waits for on_stream_writable()

    # Links in the list of `place`; borrowed
    cdef PyObject* next
    cdef PyObject* previous
    cdef Stall stall                # the time in which its window was closed

    cdef int put(self, object piece, Py_ssize_t size) except -1
    # Copies the next bytes of the queue. Returns less than `size` only if a file has fewer bytes than it should.
    cdef Py_ssize_t take(self, char* to, Py_ssize_t size) except -1
    # The same without a copy: returns the object that has these bytes from `start` on; None if they are not in one.
    cdef bytes take_part(self, Py_ssize_t size, Py_ssize_t* start)
    cdef int discard_output(self) except -1
    cdef int next_entry(self) except -1


cdef Http2Stream new_stream(int id)

# Circular lists. `first` is NULL if a list is empty.
cdef int append_stream(PyObject** first, Http2Stream stream) noexcept
cdef int insert_before(PyObject** first, PyObject* before, Http2Stream stream) noexcept
cdef int unlink_stream(PyObject** first, Http2Stream stream) noexcept
