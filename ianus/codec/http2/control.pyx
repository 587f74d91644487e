"""Reads the small frames of a client, and ends streams and connections.

Each frame costs points of the glitch budget, so floods of them end the connection.

Compiled because the codec's types are.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.string cimport memcmp

from ianus.codec.base cimport (
    ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, NO_ERROR, PROTOCOL_ERROR, ErrorCode,
)
from ianus.codec.http2.frames cimport (
    ACK, MAX_STREAM, MIN_GOAWAY_BYTES, PING_BYTES, PRIORITY_BYTES, RESET_BYTES, WINDOW_UPDATE_BYTES, read_uint31,
    read_uint32, write_goaway, write_ping, write_reset, write_settings_ack,
)
from ianus.codec.http2.glitches cimport FRAME_COST, RESET_COST, SETTINGS_COST, take_points
from ianus.codec.http2.priority cimport MAX_PRIORITY_BYTES
from ianus.codec.http2.recent_streams cimport is_recent
from ianus.codec.http2.sender cimport DRAIN_ANNOUNCED, DRAIN_FINAL, NO_DRAIN, Http2Sender, apply_table_sizes
from ianus.codec.http2.settings cimport MAX_WINDOW_BYTES, apply_settings
from ianus.codec.http2.stall cimport pause_stall
from ianus.codec.http2.stream cimport Http2Stream
from ianus.codec.http2.stream_table cimport find_stream, listed_streams
from ianus.codec.output cimport output_of


cdef enum:
    MAX_EARLY_PRIORITIES = 32   # values that are kept for streams that are not open yet (RFC 9218 section 7.1)

cdef const char* DRAIN_PING = b"draining"


cdef bint is_idle(int last_stream, int stream) noexcept:
    """Whether a stream was never used (RFC 9113 section 5.1). Those with even numbers are the server's, which has none.
    """
    return stream > last_stream or not stream & 1


@cython.no_gc
cdef class Http2Control(Http2Sender):
    # ---------------------------------------------------------------- start and end of the connection

    cdef int start_connection(self) except -1:
        """Writes the server's connection preface, which precedes all other frames (RFC 9113 section 3.4)."""
        self.has_started = True
        self.unacknowledged = 1
        # The client's preface may stay incomplete.
        self.started_at = self.now
        return output_of(self.connection).write(
            PyBytes_AS_STRING(self.opening), PyBytes_GET_SIZE(self.opening)
        )

    cdef int start_drain(self) except -1:
        if self.drain != NO_DRAIN or self.state == ENDED:
            return 0
        if not self.has_started:
            self.start_connection()
        self.drain = DRAIN_ANNOUNCED
        # RFC 9113 section 6.8: requests may be on their way, so the first one promises all of them.
        write_goaway(output_of(self.connection), MAX_STREAM, NO_ERROR, b"", 0)
        # The client has seen GOAWAY when it answers.
        return write_ping(output_of(self.connection), DRAIN_PING, False)

    cdef int finish_drain(self) except -1:
        if self.drain == DRAIN_FINAL or self.state == ENDED:
            return 0
        if not self.has_started:
            self.start_connection()
        self.drain = DRAIN_FINAL
        self.last_accepted = self.last_stream
        write_goaway(output_of(self.connection), self.last_stream, NO_ERROR, b"", 0)
        return self.note_drained()

    # ---------------------------------------------------------------- errors

    cdef int fail(self, ErrorCode code, str reason) except -1:
        """A connection error (RFC 9113 section 5.4.1)."""
        # Before the sink is called, so that it finds the codec in its last state.
        self.end_connection(code, reason)
        return self.sink.on_connection_error(code, reason)

    cdef int end_connection(self, ErrorCode code, str reason) except -1:
        cdef bytes text = reason.encode("ascii", "replace")
        if self.state == ENDED:
            return 0
        if not self.has_started:
            # GOAWAY, too, follows the preface.
            self.start_connection()
        self.state = ENDED
        self.started_at = 0
        self.data_stream = None
        return write_goaway(
            output_of(self.connection), self.last_accepted if self.drain == DRAIN_FINAL else self.last_stream, code,
            PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text),
        )

    cdef int fail_connection(self, ErrorCode code) except -1:
        return self.end_connection(code, "")

    cdef int fail_stream(self, Http2Stream entry, ErrorCode code, str reason) except -1:
        """A stream error (RFC 9113 section 5.4.2), which the client has caused."""
        cdef bint was_over = entry.output_ended and entry.input_ended
        write_reset(output_of(self.connection), entry.id, code)
        self.end_stream(entry)
        if not was_over:
            self.sink.on_reset(entry.id, code, reason)
        entry.discard_output()
        # CVE-2025-8671: a reset that the client provokes costs it as much as one that it sends.
        if self.note_glitch(RESET_COST, "stream errors"):
            self.forget_if_over(entry)
        return 0

    cdef bint note_glitch(self, int cost, str event) except -1:
        """Returns False after the client has used all its points."""
        if take_points(&self.glitches, cost):
            return True
        if self.state != ENDED:
            self.fail(ENHANCE_YOUR_CALM, "too many " + event)
        return False

    # ---------------------------------------------------------------- frames

    cdef int read_settings(self, const char* payload) except -1:
        cdef ErrorCode code
        cdef const char* reason = NULL
        cdef int window = self.client.window
        self.has_settings = True
        if self.header.flags & ACK:
            if self.header.size:
                # RFC 9113 section 6.5
                return self.fail(FRAME_SIZE_ERROR, "SETTINGS with ACK that is not empty")
            if self.unacknowledged:
                self.unacknowledged -= 1
                return 0
            self.note_glitch(SETTINGS_COST, "acknowledgements of SETTINGS")
            return 0
        # CVE-2019-9515
        if not self.note_glitch(SETTINGS_COST, "SETTINGS frames"):
            return 0
        code = apply_settings(&self.client, payload, self.header.size, &reason)
        if code != NO_ERROR:
            return self.fail(code, reason.decode("ascii"))
        if self.hpack_encoder is not None:
            apply_table_sizes(self)
        # RFC 9113 section 6.9.2: it changes the windows of all streams, and may make them negative.
        if self.client.window != window:
            for entry in listed_streams(&self.table):
                if (<Http2Stream>entry).output_ended:
                    # It needs no window any more.
                    continue
                if (<Http2Stream>entry).send_window + <long long>self.client.window - window > MAX_WINDOW_BYTES:
                    # RFC 9113 section 6.9.2
                    return self.fail(FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE makes a window too large")
                self.change_window(<Http2Stream>entry, self.client.window - window)
        # When all values have had their effect (RFC 9113 section 6.5.3)
        return write_settings_ack(output_of(self.connection))

    cdef int read_ping(self, const char* payload) except -1:
        if self.header.size != PING_BYTES:
            # RFC 9113 section 6.7
            return self.fail(FRAME_SIZE_ERROR, "PING of an invalid size")
        if self.header.flags & ACK:
            if self.drain == DRAIN_ANNOUNCED and memcmp(payload, DRAIN_PING, PING_BYTES) == 0:
                return self.finish_drain()
            self.note_glitch(FRAME_COST, "answers to no PING")
            return 0
        # CVE-2019-9512
        if self.note_glitch(FRAME_COST, "PING frames"):
            write_ping(output_of(self.connection), payload, True)
        return 0

    cdef int read_goaway(self, const char* payload) except -1:
        if self.header.size < MIN_GOAWAY_BYTES:
            # RFC 9113 section 4.2
            return self.fail(FRAME_SIZE_ERROR, "GOAWAY of an invalid size")
        # Its last stream is one of the server's, which has none.
        if not self.note_glitch(FRAME_COST, "GOAWAY frames") or self.client_left:
            return 0
        self.client_left = True
        self.sink.on_goaway(<ErrorCode>read_uint32(payload + 4))
        return self.note_drained()

    cdef int read_reset(self, const char* payload) except -1:
        cdef int stream = self.header.stream
        cdef PyObject* found = find_stream(&self.table, stream)     # borrowed from the table
        cdef Http2Stream entry
        cdef bint is_news
        if self.header.size != RESET_BYTES:
            # RFC 9113 section 6.4
            return self.fail(FRAME_SIZE_ERROR, "RST_STREAM of an invalid size")
        if found == NULL:
            if is_idle(self.last_stream, stream):
                # RFC 9113 section 6.4
                return self.fail(PROTOCOL_ERROR, "RST_STREAM on an idle stream")
            # Of a stream that has ended meanwhile
            self.note_glitch(FRAME_COST, "RST_STREAM frames")
            return 0
        entry = <Http2Stream>found
        is_news = not entry.was_reset and not (entry.input_ended and entry.output_ended)
        if is_news:
            # By the client, so its later frames on the stream are errors.
            entry.input_ended = True
            self.end_stream(entry)
            self.sink.on_reset(stream, <ErrorCode>read_uint32(payload), None)
            entry.discard_output()
        # CVE-2023-44487: the application call of the stream was perhaps made for nothing.
        if self.note_glitch(RESET_COST if is_news else FRAME_COST, "RST_STREAM frames"):
            self.forget_if_over(entry)
        return 0

    cdef bint was_ended_by_client(self, int stream) noexcept:
        return is_recent(&self.opened, self.last_stream, stream) and (
            not is_recent(&self.dropped, self.last_stream, stream)
        )

    cdef int read_window_update(self, const char* payload) except -1:
        cdef int stream = self.header.stream, increment
        cdef PyObject* found    # borrowed from the table
        cdef Http2Stream entry
        if self.header.size != WINDOW_UPDATE_BYTES:
            # RFC 9113 section 6.9, as an increment of 0 below
            return self.fail(FRAME_SIZE_ERROR, "WINDOW_UPDATE of an invalid size")
        if not self.note_glitch(FRAME_COST, "WINDOW_UPDATE frames"):
            return 0
        increment = read_uint31(payload)
        if stream == 0:
            if increment == 0:
                return self.fail(PROTOCOL_ERROR, "WINDOW_UPDATE by 0")
            if self.send_window + increment > MAX_WINDOW_BYTES:
                # RFC 9113 section 6.9.1
                return self.fail(FLOW_CONTROL_ERROR, "WINDOW_UPDATE makes the window of the connection too large")
            self.send_window += increment
            if self.send_window > 0:
                # Streams may send again; note_blocked() continues this time if none of them does.
                pause_stall(&self.stall, self.now)
            return 0
        found = find_stream(&self.table, stream)
        if found == NULL:
            # Of a closed stream it may be late.
            if not is_idle(self.last_stream, stream):
                return 0
            # RFC 9113 section 5.1, idle
            return self.fail(PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")
        entry = <Http2Stream>found
        if entry.output_ended:
            # It needs no window any more.
            return 0
        if increment == 0:
            return self.fail_stream(entry, PROTOCOL_ERROR, "WINDOW_UPDATE by 0")
        if <long long>entry.send_window + increment > MAX_WINDOW_BYTES:
            # RFC 9113 section 6.9.1: an error of the stream alone
            return self.fail_stream(entry, FLOW_CONTROL_ERROR, "WINDOW_UPDATE makes the window of a stream too large")
        return self.change_window(entry, increment)

    cdef int read_priority(self, const char* payload) except -1:
        """Priorities of RFC 7540 are read for their errors, and otherwise ignored (RFC 9113 section 5.3.2)."""
        cdef PyObject* found = find_stream(&self.table, self.header.stream)
        if self.header.size != PRIORITY_BYTES:
            # RFC 9113 section 6.3: a stream error, for which there must be a stream.
            if found != NULL and not (<Http2Stream>found).was_reset:
                return self.fail_stream(<Http2Stream>found, FRAME_SIZE_ERROR, "PRIORITY of an invalid size")
            return self.fail(FRAME_SIZE_ERROR, "PRIORITY of an invalid size")
        if read_uint31(payload) == self.header.stream:
            # RFC 7540 section 5.3.1
            return self.fail(PROTOCOL_ERROR, "stream that depends on itself")
        # CVE-2019-9513. No tree of priorities is kept (CVE-2016-6580).
        self.note_glitch(FRAME_COST, "PRIORITY frames")
        return 0

    cdef int read_priority_update(self, const char* payload) except -1:
        cdef int stream
        cdef Py_ssize_t size = self.header.size - 4
        cdef PyObject* found    # borrowed from the table
        if size < 0:
            return self.fail(FRAME_SIZE_ERROR, "PRIORITY_UPDATE of an invalid size")
        stream = read_uint31(payload)
        if stream == 0 or not stream & 1:
            # RFC 9218 section 7.1
            return self.fail(PROTOCOL_ERROR, "PRIORITY_UPDATE of no stream of a client")
        if not self.note_glitch(FRAME_COST, "PRIORITY_UPDATE frames"):
            return 0
        self.uses_priorities = True
        found = find_stream(&self.table, stream)
        if found != NULL:
            if (<Http2Stream>found).output_ended:
                return 0
            return self.change_priority(<Http2Stream>found, payload + 4, size)
        # Frames may overtake the request that they are about.
        if stream > self.last_stream and size <= MAX_PRIORITY_BYTES:
            if self.early_priorities is None:
                self.early_priorities = {}
            if len(self.early_priorities) < MAX_EARLY_PRIORITIES or stream in self.early_priorities:
                self.early_priorities[stream] = PyBytes_FromStringAndSize(payload + 4, size)
        return 0
