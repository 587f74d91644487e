"""The sending half of an HTTP/2 connection: responses by stream, flow control, and order."""
cimport cython
from cpython.object cimport PyObject

from ianus.codec.base cimport ErrorCode, MultiplexedCodec
from ianus.codec.http2.glitches cimport GlitchBudget
from ianus.codec.http2.hpack_encoder cimport HpackEncoder
from ianus.codec.http2.recent_streams cimport RecentStreams
from ianus.codec.http2.scheduler cimport Scheduler
from ianus.codec.http2.settings cimport ClientSettings
from ianus.codec.http2.stall cimport Stall
from ianus.codec.http2.stream cimport Http2Stream
from ianus.codec.http2.stream_table cimport StreamTable


# How a connection ends (RFC 9113 section 6.8).
cdef enum DrainState:
    NO_DRAIN
    DRAIN_ANNOUNCED         # new streams are still accepted: the client has perhaps opened some
    DRAIN_FINAL             # streams after `last_accepted` are ignored


@cython.no_gc
cdef class Http2Sender(MultiplexedCodec):
    cdef StreamTable table
    cdef int last_stream            # the highest number of a stream that a client has used
    # For frames of streams that are not in the table
    cdef RecentStreams opened       # was opened, and not passed over
    cdef RecentStreams dropped      # the server has reset, refused or ignored it, so its frames are ignored
    cdef DrainState drain
    cdef unsigned char client_left  # GOAWAY was received
    cdef unsigned char drained      # on_drained() was called
    cdef GlitchBudget glitches

    cdef ClientSettings client
    cdef long long send_window      # bytes that the client admits on the connection
    cdef Stall stall                # the time in which none are admitted although output waits
    cdef HpackEncoder hpack_encoder     # None before the first head
    cdef Scheduler scheduler        # None before the first queued output
    # List of the streams that are STALLED, the first one for the longest time (Stall.since); borrowed
    cdef PyObject* first_stalled
    # The stream whose head was sent last, while it is not known whether body and end follow at once; None without one
    cdef Http2Stream staged
    cdef bytes staged_block
    cdef long long staged_length    # of the Content-Length to add, -1 for none

    cdef Http2Stream open_stream(self, int stream)  # a stream that may send; else None
    # Forgets the bytes of a tunnel that wait and that nothing will take. The part of the codec that reads has it.
    cdef int drop_held(self, Http2Stream entry) except -1
    # Ends both directions. Its queued output is still there.
    cdef int end_stream(self, Http2Stream entry) except -1
    cdef int forget_if_over(self, Http2Stream entry) except -1
    cdef int note_drained(self) except -1
    # The client admits more, or less.
    cdef int change_window(self, Http2Stream entry, int size) except -1
    cdef int change_priority(self, Http2Stream entry, const char* value, Py_ssize_t size) except -1
    # Inside
    cdef int commit_staged(self) except -1
    cdef int schedule(self, Http2Stream entry) except -1
    cdef int unschedule(self, Http2Stream entry) except -1
    cdef bint write_data(self, Http2Stream entry, Py_ssize_t size) except -1
    cdef int write_block(self, int stream, bytes literals, long long length, unsigned char flags) except -1
    cdef int end_output(self, Http2Stream entry) except -1


# The client's decoder keeps tables of other sizes; the sender has an encoder.
cdef int apply_table_sizes(Http2Sender sender) noexcept
