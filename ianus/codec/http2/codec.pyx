"""The HTTP/2 codec: one state machine over frames, no socket, no clock.

Strategy: DATA is passed on as it arrives. All other frames are read whole; until then the caller keeps their bytes,
no more than MAX_FRAME_BYTES. A field block of one frame is decoded in place; one of several frames is collected
first.

Rules of this file:
- A frame's header is judged before its payload, so that input fails in the same way however it is cut into pieces.
- After fail() nothing is parsed any more: feed() discards all input.
- Each field block is decoded, also that of a refused stream: HPACK's table depends on it (RFC 9113 section 4.3).
- Work that is of no use to a client costs it points (glitches), and is bounded by that.

States (ConnectionState) and their transitions:

    PREFACE    -> FRAME       the 24 bytes. read_preface()
    FRAME      -> FRAME       a whole frame. dispatch()
    FRAME      -> PAD_LENGTH  the header of padded DATA. start_data()
    FRAME      -> PAYLOAD     the header of other DATA. start_data()
    FRAME      -> PADDING     the header of an unknown frame. read_frame()
    PAD_LENGTH -> PAYLOAD     the size of the padding. set_padding()
    PAYLOAD    -> PADDING     the last byte of data. read_payload()
    PADDING    -> FRAME       the end of the frame. feed()
    all        -> ENDED       a connection error. fail()

Compiled because it handles every request of HTTP/2.
"""
cimport cython
from libc.string cimport memcmp

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject

from ianus.codec.base cimport (
    COMPRESSION_ERROR, ENHANCE_YOUR_CALM, FRAME_SIZE_ERROR, NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED,
    MultiplexedCodec, MultiplexedCodecFactory,
)
from ianus.codec.field_cache cimport FieldCache
from ianus.codec.http2.body_reader cimport Http2BodyReader
from ianus.codec.http2.control cimport ENDED, FRAME, PADDING, PAD_LENGTH, PAYLOAD, PREFACE
from ianus.codec.http2.field_section cimport FieldSection
from ianus.codec.http2.frames cimport (
    CONTINUATION, DATA, END_HEADERS, END_STREAM, FRAME_HEADER_BYTES, GOAWAY, HAS_PRIORITY, HEADERS, MAX_FRAME_BYTES,
    PADDED, PING, PRIORITY, PRIORITY_BYTES, PRIORITY_UPDATE, PUSH_PROMISE, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, read_frame_header, read_uint31, write_reset,
)
from ianus.codec.http2.glitches cimport FRAME_COST, MAX_GLITCH_POINTS, REFUSED_COST, refill
from ianus.codec.http2.header_block cimport append_fragment, free_block
from ianus.codec.http2.hpack_decoder cimport HpackDecoder
from ianus.codec.http2.receive_window cimport open_window
from ianus.codec.http2.recent_streams cimport add_recent, advance_recent, is_recent
from ianus.codec.http2.request cimport Http2Request, build_request, take_trailers
from ianus.codec.http2.response cimport Http2HeadEncoder
from ianus.codec.http2.sender cimport DRAIN_FINAL
from ianus.codec.http2.settings cimport INITIAL_WINDOW_BYTES, build_opening, reset_settings
from ianus.codec.http2.stream cimport NOWHERE, NO_TUNNEL, TUNNEL_REQUESTED, Http2Stream, new_stream
from ianus.codec.http2.stream_table cimport add_stream, clear_table, find_stream, listed_streams
from ianus.codec.limits cimport Limits
from ianus.codec.output cimport OutputOwner, output_of


cdef enum:
    PREFACE_BYTES = 24
    MAX_STREAM_WINDOW = 1048576     # bytes to which the window of a stream grows
    CONNECTION_GROWTH = 4           # factor by which the window of a connection may grow
    # Bytes by which the block of a head within the limits may be longer than its fields in HTTP/1
    BLOCK_SLACK_BYTES = 4096

cdef const char* CLIENT_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@cython.no_gc
cdef class Http2Codec(Http2BodyReader):
    def __dealloc__(self):
        free_block(&self.block)

    # ---------------------------------------------------------------- frames

    cdef Py_ssize_t feed(self, const char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t done = 0, used
        if not self.has_started:
            self.start_connection()
        refill(&self.glitches, self.now)
        while done < size:
            if self.state == FRAME:
                used = self.read_frame(data + done, size - done)
                # The frame is not complete; the caller passes its bytes again.
                if used == 0 and self.state == FRAME:
                    break
            elif self.state == PAYLOAD:
                used = self.read_payload(data + done, size - done)
            elif self.state == PADDING:
                used = min(size - done, self.padding_left)
                self.padding_left -= used
            elif self.state == PAD_LENGTH:
                used = 1
                self.set_padding(<unsigned char>data[done])
            elif self.state == PREFACE:
                used = self.read_preface(data + done, size - done)
            else:
                # ENDED: consumed and ignored, so that a closing connection keeps no bytes.
                return size
            if self.state == PADDING and self.padding_left == 0:
                self.state = FRAME
            done += used
        if done < size and self.started_at == 0:
            self.started_at = self.now
        return done

    cdef double head_since(self) noexcept:
        return self.started_at

    cdef Py_ssize_t read_preface(self, const char* data, Py_ssize_t size) except -1:
        size = min(size, self.preface_left)
        if memcmp(data, CLIENT_PREFACE + PREFACE_BYTES - self.preface_left, size) != 0:
            self.fail(PROTOCOL_ERROR, "no preface of HTTP/2, as from a client of HTTP/1; see --http")
            return size
        self.preface_left -= size
        if self.preface_left == 0:
            # `started_at` stays: SETTINGS belong to the preface.
            self.state = FRAME
        return size

    cdef Py_ssize_t read_frame(self, const char* data, Py_ssize_t size) except -1:
        if size < FRAME_HEADER_BYTES:
            return 0
        read_frame_header(data, &self.header)
        if not self.check_header():
            return 0
        if self.header.type == DATA:
            self.started_at = 0
            self.start_data()
            return FRAME_HEADER_BYTES
        if self.header.type > CONTINUATION and self.header.type != PRIORITY_UPDATE:
            # RFC 9113 section 4.1: frames of unknown types are ignored.
            self.started_at = 0
            if self.note_glitch(FRAME_COST, "unknown frames"):
                self.padding_left = self.header.size
                self.state = PADDING
            return FRAME_HEADER_BYTES
        if size < FRAME_HEADER_BYTES + self.header.size:
            return 0
        self.dispatch(data + FRAME_HEADER_BYTES)
        if self.block.stream == 0:
            # A block of several frames has one deadline, from its first byte.
            self.started_at = 0
        elif self.started_at == 0:
            self.started_at = self.now
        return FRAME_HEADER_BYTES + self.header.size

    cdef bint check_header(self) except -1:
        """Judges a frame by its header. Returns False after an error."""
        cdef unsigned char kind = self.header.type
        if self.header.size > MAX_FRAME_BYTES:
            # RFC 9113 section 4.2. A connection error for all types, since the frame is not read.
            self.fail(FRAME_SIZE_ERROR, "frame over SETTINGS_MAX_FRAME_SIZE")
        elif not self.has_settings and kind != SETTINGS:
            # RFC 9113 section 3.4
            self.fail(PROTOCOL_ERROR, "first frame that is not SETTINGS")
        elif self.block.stream and (kind != CONTINUATION or self.header.stream != self.block.stream):
            # RFC 9113 section 4.3: the frames of a block follow each other directly.
            self.fail(PROTOCOL_ERROR, "frame inside a field block")
        elif kind == CONTINUATION and self.block.stream == 0:
            # RFC 9113 section 6.10
            self.fail(PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        elif kind == PUSH_PROMISE:
            # RFC 9113 section 8.4: a client cannot push.
            self.fail(PROTOCOL_ERROR, "PUSH_PROMISE from a client")
        elif kind in (SETTINGS, PING, GOAWAY, PRIORITY_UPDATE) and self.header.stream != 0:
            # RFC 9113 sections 6.5, 6.7 and 6.8, RFC 9218 section 7.1
            self.fail(PROTOCOL_ERROR, "frame of the connection on a stream")
        elif kind in (DATA, HEADERS, PRIORITY, RST_STREAM) and self.header.stream == 0:
            # RFC 9113 sections 6.1 to 6.4
            self.fail(PROTOCOL_ERROR, "frame of a stream on the connection")
        else:
            return True
        return False

    cdef int dispatch(self, const char* payload) except -1:
        cdef unsigned char kind = self.header.type
        if kind == HEADERS:
            return self.read_headers(payload)
        if kind == WINDOW_UPDATE:
            return self.read_window_update(payload)
        if kind == RST_STREAM:
            return self.read_reset(payload)
        if kind == SETTINGS:
            return self.read_settings(payload)
        if kind == PING:
            return self.read_ping(payload)
        if kind == CONTINUATION:
            return self.read_continuation(payload)
        if kind == PRIORITY:
            return self.read_priority(payload)
        if kind == PRIORITY_UPDATE:
            return self.read_priority_update(payload)
        return self.read_goaway(payload)

    # ---------------------------------------------------------------- field blocks

    cdef int read_headers(self, const char* payload) except -1:
        cdef Py_ssize_t size = self.header.size, padding = 0, at = 0
        cdef unsigned char flags = self.header.flags
        self.block.self_dependent = False
        if flags & PADDED:
            if size < 1:
                # RFC 9113 section 4.2: a field that the flags announce is missing.
                return self.fail(FRAME_SIZE_ERROR, "padded frame without the size of its padding")
            padding = <unsigned char>payload[0]
            at = 1
        if flags & HAS_PRIORITY:
            if size - at < PRIORITY_BYTES:
                return self.fail(FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            # RFC 7540 section 5.3.1. The rest of it has no effect here (RFC 9113 section 5.3.2).
            self.block.self_dependent = read_uint31(payload + at) == self.header.stream
            at += PRIORITY_BYTES
        if padding > size - at:
            # RFC 9113 section 6.2
            return self.fail(PROTOCOL_ERROR, "padding longer than its frame")
        size -= at + padding
        self.block.flags = flags
        if flags & END_HEADERS:
            # The usual case: decoded in place, in the receive buffer.
            return self.end_block(payload + at, size)
        # Until END_HEADERS only CONTINUATION of this stream may follow.
        self.block.stream = self.header.stream
        if not append_fragment(&self.block, payload + at, size, self.factory.max_block_bytes):
            return self.fail(ENHANCE_YOUR_CALM, "field block over the limit of its size")
        return 0

    cdef int read_continuation(self, const char* payload) except -1:
        if not append_fragment(&self.block, payload, self.header.size, self.factory.max_block_bytes):
            return self.fail(ENHANCE_YOUR_CALM, "field block over the limit of its frames or its size")
        # RUSTSEC-2024-0332: the sum of the sizes does not limit empty frames.
        if self.header.size == 0 and not self.note_glitch(FRAME_COST, "empty CONTINUATION frames"):
            return 0
        if self.header.flags & END_HEADERS:
            self.end_block(self.block.data, self.block.size)
            # Not before: it is decoded in place.
            free_block(&self.block)
        return 0

    cdef int end_block(self, const char* block, Py_ssize_t size) except -1:
        """Decodes a whole block, which is a head or trailers."""
        cdef FieldSection section = self.factory.section
        cdef int stream = self.header.stream
        cdef bint ended = self.block.flags & END_STREAM
        cdef PyObject* found    # borrowed from the table
        if size > self.factory.max_block_bytes:
            # Before it is decoded, so that it costs no more than its bytes (RFC 9113 section 10.5.1).
            return self.fail(ENHANCE_YOUR_CALM, "field block over the limit of its size")
        if self.hpack_decoder is None:
            # Not before the first block: an idle connection has no table.
            self.hpack_decoder = HpackDecoder.__new__(HpackDecoder)
            self.hpack_decoder.cache = self.factory.cache
        section.start(size)
        try:
            if not self.hpack_decoder.decode(block, size, section):
                # RFC 9113 section 4.3: the tables of both sides would differ from here on.
                return self.fail(COMPRESSION_ERROR, self.hpack_decoder.reason.decode("ascii"))
            found = find_stream(&self.table, stream)
            if found != NULL:
                return self.read_trailers(section, <Http2Stream>found, ended)
            if not stream & 1:
                # RFC 9113 section 5.1.1
                return self.fail(PROTOCOL_ERROR, "HEADERS on a stream with an even number")
            if stream > self.last_stream:
                return self.start_request(section, stream, ended)
            if is_recent(&self.dropped, self.last_stream, stream):
                # Trailers that the client has sent before it knew of the reset, or of the end of the connection
                return 0
            if is_recent(&self.opened, self.last_stream, stream):
                # RFC 9113 section 5.1, closed
                return self.fail(STREAM_CLOSED, "HEADERS on a closed stream")
            # RFC 9113 section 5.1.1: numbers increase.
            return self.fail(PROTOCOL_ERROR, "HEADERS on a stream with a number that was passed over")
        finally:
            # One section serves all connections of the factory, so it keeps nothing of this one.
            section.end()

    cdef int start_request(self, FieldSection section, int stream, bint ended) except -1:
        cdef Http2Request request
        cdef Http2Stream entry
        # A client's number closes all lower ones that it has passed over (RFC 9113 section 5.1.1).
        advance_recent(&self.opened, self.last_stream, stream)
        advance_recent(&self.dropped, self.last_stream, stream)
        self.last_stream = stream
        add_recent(&self.opened, stream, stream)
        if self.drain == DRAIN_FINAL:
            add_recent(&self.dropped, stream, stream)
            # RFC 9113 section 6.8: the client repeats it on another connection.
            return 0
        if self.streams >= self.factory.max_concurrent_streams:
            # RFC 9113 section 5.1.2. Also streams that were reset count while their application call runs.
            add_recent(&self.dropped, stream, stream)
            write_reset(output_of(self.connection), stream, REFUSED_STREAM)
            self.note_glitch(REFUSED_COST, "streams over SETTINGS_MAX_CONCURRENT_STREAMS")
            return 0
        request = build_request(section, ended)
        entry = new_stream(stream)
        entry.send_window = self.client.window
        open_window(&entry.window, self.factory.stream_window, MAX_STREAM_WINDOW)
        # Unless the head declares a length
        entry.body_left = -1
        entry.priority.incremental = not self.uses_priorities
        if request is not None:
            self.apply_priority(entry, request.priority)
        add_stream(&self.table, entry)
        self.streams = self.table.count
        entry.input_ended = ended
        return self.report_request(section, entry, request)

    cdef int apply_priority(self, Http2Stream entry, bytes value) except -1:
        """The client's wish: by a frame that has preceded the request, else by its field (RFC 9218 section 7)."""
        cdef bytes early = None
        if self.early_priorities is not None:
            early = self.early_priorities.pop(entry.id, None)
        if early is None:
            early = value
        if early is None:
            return 0
        # Clients without priorities get parts of all their responses. Others have named those for which they want that.
        self.uses_priorities = True
        entry.priority.incremental = False
        return self.change_priority(entry, PyBytes_AS_STRING(early), PyBytes_GET_SIZE(early))

    cdef int report_request(self, FieldSection section, Http2Stream entry, Http2Request request) except -1:
        """Reports a request whose head was read, or why it is refused."""
        cdef long long limit = self.factory.limits.max_request_body_size
        cdef long long length = section.facts.content_length if section.facts.lengths else -1
        if self.block.self_dependent:
            return self.refuse_request(entry, 400, "stream that depends on itself", request, PROTOCOL_ERROR)
        if section.status:
            return self.refuse_request(
                entry, section.status, section.reason.decode("ascii"), request,
                PROTOCOL_ERROR if section.malformed else NO_ERROR,
            )
        if request.protocol is not None and not self.factory.extended_connect:
            # RFC 8441 section 3: only after the server's setting
            return self.refuse_request(entry, 400, "extended CONNECT without its setting", request, PROTOCOL_ERROR)
        if entry.input_ended and length > 0:
            # RFC 9113 section 8.1.1
            return self.refuse_request(entry, 400, "Content-Length without a body", request, PROTOCOL_ERROR)
        if limit and length > limit:
            return self.refuse_request(
                entry, 413, f"body of {length} bytes over max-request-body-size", request, NO_ERROR
            )
        if request.protocol is not None:
            entry.tunnel = TUNNEL_REQUESTED
        elif not entry.input_ended:
            entry.body_left = length
        self.sink.on_request(entry.id, request)
        # After the sink has the request, as for all other messages.
        return self.sink.on_end(entry.id) if entry.input_ended else 0

    cdef int read_trailers(self, FieldSection section, Http2Stream entry, bint ended) except -1:
        cdef list trailers
        if entry.input_ended and entry.output_ended:
            if self.was_ended_by_client(entry.id):
                # RFC 9113 section 5.1, closed
                return self.fail(STREAM_CLOSED, "HEADERS on a closed stream")
            # The client did not know of the reset yet.
            return 0
        if entry.input_ended:
            # RFC 9113 section 5.1, half-closed (remote)
            return self.fail_stream(entry, STREAM_CLOSED, "HEADERS after END_STREAM")
        if entry.tunnel != NO_TUNNEL:
            # RFC 9113 section 8.5
            return self.fail_stream(entry, PROTOCOL_ERROR, "HEADERS in a tunnel")
        if not ended:
            # RFC 9113 section 8.1: trailers end the request.
            return self.fail_stream(entry, PROTOCOL_ERROR, "second HEADERS without END_STREAM")
        if entry.body_left > 0:
            # RFC 9113 section 8.1.1
            return self.fail_stream(entry, PROTOCOL_ERROR, "DATA of another length than Content-Length")
        if entry.input_unwanted:
            # Discarded, as the body was.
            return self.end_request(entry)
        trailers = take_trailers(section)
        if section.status:
            return self.fail_stream(entry, PROTOCOL_ERROR, section.reason.decode("ascii"))
        if trailers:
            self.sink.on_trailers(entry.id, trailers)
        return self.end_request(entry)

    # ---------------------------------------------------------------- ends

    cdef int abandon(self) except -1:
        # The session, the streams and the connection refer to each other: each reference is ended here.
        self.state = ENDED
        self.sink = None
        self.staged = self.data_stream = None
        self.scheduler = None
        # Borrowed, as the links of the streams are, from the table that is cleared below.
        self.first_stalled = NULL
        for entry in listed_streams(&self.table):
            (<Http2Stream>entry).owner = None
            (<Http2Stream>entry).discard_output()
            (<Http2Stream>entry).place = NOWHERE
        clear_table(&self.table)
        self.streams = 0
        self.connection = None
        return 0


cdef class Http2Factory(MultiplexedCodecFactory):
    """Makes HTTP/2 codecs that share one set of limits. Windows are in bytes."""

    def __init__(
        self,
        Limits limits not None,
        *,
        int max_concurrent_streams,
        int stream_window,
        int connection_window,
        bint extended_connect,
    ):
        self.limits = limits
        self.section = FieldSection(limits)
        self.cache = FieldCache()
        self.encoder = Http2HeadEncoder()
        self.max_concurrent_streams = max_concurrent_streams
        self.stream_window = stream_window
        # The initial window of a connection cannot be made smaller (RFC 9113 section 6.9.2).
        self.connection_window = max(connection_window, INITIAL_WINDOW_BYTES)
        self.extended_connect = extended_connect
        self.max_block_bytes = (
            limits.limit_request_fields_size + limits.limit_request_line + <Py_ssize_t>BLOCK_SLACK_BYTES
        )
        self.opening = build_opening(
            max_concurrent_streams, stream_window, self.connection_window, limits.limit_request_fields_size,
            extended_connect,
        )

    def set_hsts(self, bytes value not None) -> None:
        """Adds Strict-Transport-Security to all responses. To be called before the first connection."""
        self.encoder.hsts = value

    cdef MultiplexedCodec create(self, OutputOwner connection):
        cdef Http2Codec codec = Http2Codec.__new__(Http2Codec)
        # A cycle, as in HTTP/1. abandon() ends it.
        codec.connection = connection
        codec.factory = self
        codec.opening = self.opening
        codec.max_body_bytes = self.limits.max_request_body_size
        codec.state = PREFACE
        codec.preface_left = PREFACE_BYTES
        # SETTINGS change the windows of streams alone (RFC 9113 section 6.9.2).
        codec.send_window = INITIAL_WINDOW_BYTES
        codec.glitches.points = MAX_GLITCH_POINTS
        reset_settings(&codec.client)
        open_window(&codec.window, self.connection_window, self.connection_window * CONNECTION_GROWTH)
        return codec
