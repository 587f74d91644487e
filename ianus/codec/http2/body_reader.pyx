"""Reads DATA frames: bodies of requests, and the bytes of tunnels.

The bytes are passed on as they arrive. Both windows count them when the header of their frame is read, and get credit
when an exchange has consumed them. Bytes that no exchange wants are consumed at once, by the connection's window alone.

Compiled because the codec's types are.
"""
cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject

from ianus.codec.base cimport (
    FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR, STREAM_CLOSED, ErrorCode, Request,
)
from ianus.codec.http2.control cimport ENDED, PADDING, PAD_LENGTH, PAYLOAD, Http2Control
from ianus.codec.http2.frames cimport END_STREAM, PADDED, write_reset, write_window_update
from ianus.codec.http2.glitches cimport FRAME_COST, RESET_COST
from ianus.codec.http2.receive_window cimport note_consumed, note_received
from ianus.codec.http2.recent_streams cimport is_recent
from ianus.codec.http2.sender cimport DRAIN_FINAL
from ianus.codec.http2.stream cimport NO_TUNNEL, TUNNEL_OPEN, Http2Stream
from ianus.codec.http2.stream_table cimport find_stream
from ianus.codec.output cimport output_of


@cython.no_gc
cdef class Http2BodyReader(Http2Control):
    # ---------------------------------------------------------------- frames

    cdef int start_data(self) except -1:
        """Counts a DATA frame in both windows, padding included (RFC 9113 section 6.1), and finds its stream."""
        cdef int stream = self.header.stream
        cdef PyObject* found = find_stream(&self.table, stream)     # borrowed from the table
        cdef Http2Stream entry = None
        self.data_stream = None
        self.data_left = self.header.size
        self.padding_left = 0
        if not note_received(&self.window, self.header.size):
            # RFC 9113 section 6.9.1
            return self.fail(FLOW_CONTROL_ERROR, "DATA over the window of the connection")
        # It may have used up the window.
        self.give_credit(None, 0)
        if found != NULL:
            entry = <Http2Stream>found
            if entry.input_ended and entry.output_ended:
                if self.was_ended_by_client(stream):
                    # RFC 9113 section 5.1, closed
                    return self.fail(STREAM_CLOSED, "DATA on a closed stream")
                # The client did not know of the reset yet.
                entry = None
            elif entry.input_ended:
                # RFC 9113 section 5.1, half-closed (remote)
                self.fail_stream(entry, STREAM_CLOSED, "DATA after END_STREAM")
                entry = None
            elif not note_received(&entry.window, self.header.size):
                # RFC 9113 section 6.9.1
                self.fail_stream(entry, FLOW_CONTROL_ERROR, "DATA over the window of its stream")
                entry = None
        elif stream > self.last_stream or not stream & 1:
            # RFC 9113 section 5.1, idle
            return self.fail(PROTOCOL_ERROR, "DATA on an idle stream")
        elif self.drain == DRAIN_FINAL and stream > self.last_accepted:
            # RFC 9113 section 6.8: ignored, but counted in the window of the connection
            pass
        elif not is_recent(&self.dropped, self.last_stream, stream):
            # RFC 9113 section 5.1, closed
            if self.was_ended_by_client(stream):
                return self.fail(STREAM_CLOSED, "DATA on a closed stream")
            # One that was passed over, or is too old: perhaps the server has reset it.
            write_reset(output_of(self.connection), stream, STREAM_CLOSED)
            if not self.note_glitch(RESET_COST, "frames on closed streams"):
                return 0
        if self.state == ENDED:
            # A call above has failed the connection.
            return 0
        self.data_stream = entry
        if self.header.flags & PADDED:
            if self.header.size == 0:
                return self.fail(FRAME_SIZE_ERROR, "padded frame without the size of its padding")
            self.state = PAD_LENGTH
            return 0
        self.state = PAYLOAD
        return self.start_payload()

    cdef int set_padding(self, Py_ssize_t padding) except -1:
        if padding >= self.data_left:
            # RFC 9113 section 6.1: the byte of its size counts, too.
            return self.fail(PROTOCOL_ERROR, "padding longer than its frame")
        self.padding_left = padding
        self.data_left -= padding + 1
        self.state = PAYLOAD
        # Padding is of no use to an exchange, so it is consumed at once.
        self.give_credit(self.data_stream, padding + 1)
        return self.start_payload()

    cdef int start_payload(self) except -1:
        """Judges the size of the data, before its first byte."""
        cdef Http2Stream entry = self.data_stream
        cdef long long limit = self.max_body_bytes
        if self.data_left == 0 and not self.header.flags & END_STREAM:
            # CVE-2019-9518
            if not self.note_glitch(FRAME_COST, "empty DATA frames"):
                return 0
        if entry is not None and entry.tunnel == NO_TUNNEL:
            if entry.body_left >= 0 and (
                self.data_left > entry.body_left
                or self.header.flags & END_STREAM and self.data_left != entry.body_left
            ):
                # RFC 9113 section 8.1.1
                self.fail_stream(entry, PROTOCOL_ERROR, "DATA of another length than Content-Length")
                self.data_stream = None
            elif limit and entry.body_received + self.data_left > limit and not entry.input_unwanted:
                self.refuse_request(entry, 413, "body over max-request-body-size", None, NO_ERROR)
        return self.end_data() if self.data_left == 0 and self.state == PAYLOAD else 0

    cdef Py_ssize_t read_payload(self, const char* data, Py_ssize_t size) except -1:
        cdef Http2Stream entry = self.data_stream
        cdef Py_ssize_t used = 0
        size = min(size, self.data_left)
        self.data_left -= size
        if entry is not None and entry.body_left >= 0:
            # Also of a body that is discarded.
            entry.body_left -= size
        if entry is None or entry.input_ended or entry.input_unwanted:
            # Discarded, also if the stream was reset after the start of the frame.
            self.give_credit(None, size)
        elif entry.tunnel == NO_TUNNEL:
            entry.body_received += size
            entry.unconsumed += <int>size
            self.sink.on_body(entry.id, data, size)
        else:
            if entry.tunnel == TUNNEL_OPEN and entry.held is None:
                used = self.sink.on_tunnel(entry.id, data, size)
                self.give_credit(entry, used)
            if used < size:
                # At most as many bytes as the stream's window.
                if entry.held is None:
                    entry.held = bytearray()
                entry.held.extend(PyBytes_FromStringAndSize(data + used, size - used))
        if self.data_left == 0 and self.state == PAYLOAD:
            self.end_data()
        return size

    cdef int end_data(self) except -1:
        cdef Http2Stream entry = self.data_stream
        self.data_stream = None
        # feed() goes to the next frame if there is none.
        self.state = PADDING
        if entry is None or not self.header.flags & END_STREAM or entry.input_ended:
            return 0
        if entry.held is not None:
            entry.held_end = True
            return 0
        return self.end_request(entry)

    cdef int end_request(self, Http2Stream entry) except -1:
        """END_STREAM: the stream becomes half-closed (remote), or closed."""
        entry.input_ended = True
        if not entry.input_unwanted:
            self.sink.on_end(entry.id)
        return self.forget_if_over(entry)

    cdef int give_credit(self, Http2Stream entry, Py_ssize_t size) except -1:
        """Lets the client send more for bytes that are consumed. entry: None for those of no stream."""
        cdef int increment = note_consumed(&self.window, size, True)
        if increment:
            write_window_update(output_of(self.connection), 0, increment)
        if entry is None or entry.input_ended or entry.input_unwanted:
            return 0
        increment = note_consumed(&entry.window, size, False)
        return write_window_update(output_of(self.connection), entry.id, increment) if increment else 0

    cdef int drop_held(self, Http2Stream entry) except -1:
        cdef Py_ssize_t size
        if entry.held is None:
            return 0
        size = PyByteArray_GET_SIZE(entry.held)
        entry.held = None
        return self.give_credit(None, size) if self.state != ENDED else 0

    cdef int refuse_request(
        self, Http2Stream entry, int status, str reason, Request request, ErrorCode code
    ) except -1:
        """Has the session answer a request. Its body is discarded; RST_STREAM follows the answer."""
        entry.input_unwanted = entry.was_refused = True
        # The bytes of a refused tunnel are discarded as a body is.
        entry.tunnel = NO_TUNNEL
        entry.reset_after = <unsigned char>code
        # Of a malformed request also the end is one: the client learns of its error (RFC 9113 section 8.1.1).
        entry.reset_queued = code != NO_ERROR
        self.sink.on_stream_error(entry.id, status, reason, request)
        self.note_glitch(RESET_COST, "refused requests")
        return 0

    # ---------------------------------------------------------------- from the session

    cdef int consume(self, int stream, Py_ssize_t size) except -1:
        cdef PyObject* found = find_stream(&self.table, stream)     # borrowed from the table
        cdef Http2Stream entry
        # Before release(), which counts the rest as consumed.
        if found == NULL or self.state == ENDED:
            return 0
        entry = <Http2Stream>found
        # An exchange that counts a byte twice must not open the window further.
        size = min(size, <Py_ssize_t>entry.unconsumed)
        entry.unconsumed -= <int>size
        return self.give_credit(entry, size)

    cdef int resume_tunnel(self, int stream) except -1:
        cdef PyObject* found = find_stream(&self.table, stream)     # borrowed from the table
        cdef Http2Stream entry
        cdef bytearray held
        cdef Py_ssize_t used
        if found == NULL or (<Http2Stream>found).held is None or (<Http2Stream>found).tunnel != TUNNEL_OPEN:
            return 0
        entry = <Http2Stream>found
        # Taken away, so that nothing changes it during the call.
        held, entry.held = entry.held, None
        used = self.sink.on_tunnel(stream, PyByteArray_AS_STRING(held), PyByteArray_GET_SIZE(held))
        self.give_credit(entry, used)
        if used < PyByteArray_GET_SIZE(held):
            del held[:used]
            entry.held = held
            if entry.input_ended or entry.input_unwanted:
                # The call has ended the tunnel.
                self.drop_held(entry)
        elif entry.held_end and not entry.input_ended:
            self.end_request(entry)
        return 0

    cdef bint is_window_used(self) noexcept:
        return (self.window.size - self.window.left - self.window.credit) > self.window.size >> 1

    cdef int end_input(self, int stream, ErrorCode code) except -1:
        cdef PyObject* found = find_stream(&self.table, stream)     # borrowed from the table
        cdef Http2Stream entry
        if found == NULL or (<Http2Stream>found).input_ended:
            return 0
        entry = <Http2Stream>found
        entry.input_unwanted = True
        self.drop_held(entry)
        entry.reset_after = <unsigned char>code
        # Otherwise it follows the response, by end_output().
        return self.reset(stream, code) if entry.output_ended else 0

    cdef int release(self, int stream) except -1:
        cdef PyObject* found = find_stream(&self.table, stream)     # borrowed from the table
        cdef Http2Stream entry
        if found == NULL or (<Http2Stream>found).released:
            return 0
        entry = <Http2Stream>found
        entry.released = True
        # Ends the cycle of the session's object and this stream.
        entry.owner = None
        entry.input_unwanted = True
        self.drop_held(entry)
        if entry.unconsumed and self.state != ENDED:
            # The other streams need the window of the connection.
            self.give_credit(None, entry.unconsumed)
        entry.unconsumed = 0
        if not entry.output_ended and not entry.end_queued or entry.output_ended and not entry.input_ended:
            # Nothing can follow: the response has no end, or the request has no recipient.
            return self.reset(stream, NO_ERROR if entry.output_ended else INTERNAL_ERROR)
        return self.forget_if_over(entry)
