"""The small frames of HTTP/2 (RFC 9113 section 6; RFC 9218 section 7.1), and the errors of streams and connections."""
cimport cython

from ianus.codec.base cimport ErrorCode
from ianus.codec.http2.frames cimport FrameHeader
from ianus.codec.http2.sender cimport Http2Sender
from ianus.codec.http2.stream cimport Http2Stream


# The state of reading.
cdef enum ConnectionState:
    PREFACE         # in the 24 bytes that start a connection (RFC 9113 section 3.4)
    FRAME           # before a frame, or in one that is read whole
    PAD_LENGTH      # in a DATA frame, before the byte with the size of its padding
    PAYLOAD         # in its data
    PADDING         # in its padding, or in a frame of an unknown type
    ENDED           # after an error: all input is discarded


@cython.no_gc
cdef class Http2Control(Http2Sender):
    cdef ConnectionState state
    cdef unsigned char has_started      # the server's SETTINGS were written
    cdef unsigned char has_settings     # the client's first SETTINGS were read
    cdef unsigned char unacknowledged   # SETTINGS of the server that the client has not acknowledged
    cdef unsigned char uses_priorities  # the client has sent a priority
    cdef bytes opening              # the first frames of the server
    cdef int last_accepted          # the last stream that is served after DRAIN_FINAL
    cdef double started_at          # when the incomplete frame or block started, 0 = there is none
    cdef FrameHeader header         # of the frame being read
    cdef Http2Stream data_stream    # of the DATA frame being read; None if its bytes are discarded
    cdef dict early_priorities      # values for streams that are not open yet; or None

    cdef int start_connection(self) except -1
    # Errors
    cdef int fail(self, ErrorCode code, str reason) except -1
    cdef int end_connection(self, ErrorCode code, str reason) except -1
    cdef int fail_stream(self, Http2Stream entry, ErrorCode code, str reason) except -1
    # Whether the client itself has ended a closed stream, so that a further frame on it is an error
    cdef bint was_ended_by_client(self, int stream) noexcept
    # Takes points from the budget. Returns False after the client has used all of them.
    cdef bint note_glitch(self, int cost, str event) except -1
    # Read the payload of the frame whose header is `header`. They return 0, or raise for errors of the server alone.
    cdef int read_settings(self, const char* payload) except -1
    cdef int read_ping(self, const char* payload) except -1
    cdef int read_goaway(self, const char* payload) except -1
    cdef int read_reset(self, const char* payload) except -1
    cdef int read_window_update(self, const char* payload) except -1
    cdef int read_priority(self, const char* payload) except -1
    cdef int read_priority_update(self, const char* payload) except -1
