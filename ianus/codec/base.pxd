"""The base of HTTP codecs of all versions: bytes in, calls on a sink out, bytes to send out.

Rule of this file: a sink call may queue output on the codec; it never feeds the codec, flushes, or runs
application code. `stream` is the number of a request's stream; HTTP/1 has only stream 0.
"""
cimport cython
from ianus.codec.fields cimport Field, ForwardingFields
from ianus.codec.file_range cimport FileRange
from ianus.codec.output cimport OutputOwner


@cython.no_gc
cdef class Request:
    """The head of one request, as Python objects made once, straight from the bytes."""
    cdef readonly str method                # GET and HEAD are interned, to be compared by identity
    cdef readonly bytes target              # as received, for logs
    cdef readonly str path                  # percent-decoded UTF-8
    cdef readonly bytes raw_path            # as received, without the query
    cdef readonly bytes query_string        # without the question mark
    cdef readonly list headers              # of (lower-case name, value), both bytes
    cdef readonly str http_version          # "1.0", "1.1"
    cdef readonly bint keep_alive           # the client accepts further responses on this connection
    cdef readonly bint expect_continue      # it waits for 100 before it sends the body
    cdef readonly bint upgrade              # it asks for another protocol (RFC 9110 section 7.8)
    cdef readonly str protocol              # of an extended CONNECT (RFC 8441 section 4), else None
    cdef readonly bint websocket_key        # it has Sec-WebSocket-Key, as a handshake has whose upgrade a proxy removed
    cdef readonly long long content_length  # bytes of the body; 0 without one, -1 when chunked
    cdef ForwardingFields forwarding        # reports of proxies among the headers


# Why a stream or a connection ended: the codes of HTTP/2 (RFC 9113 section 7).
cdef enum ErrorCode:
    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7            # no application has seen it, so the client may repeat the request
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


@cython.no_gc
cdef class Sink:
    """Receives the events of a codec. Every method's default raises: a sink implements them all."""
    cdef int on_request(self, int stream, Request request) except -1
    # `data` lives in a buffer that is reused after this call.
    cdef int on_body(self, int stream, const char* data, Py_ssize_t size) except -1
    cdef int on_trailers(self, int stream, list fields) except -1
    cdef int on_end(self, int stream) except -1
    # Bytes of a tunnel; returns the number consumed. The caller passes the rest again, followed by new bytes.
    cdef Py_ssize_t on_tunnel(self, int stream, const char* data, Py_ssize_t size) except -1
    # The client violated the protocol or a limit. `status` is for the error response; nothing more is parsed.
    cdef int on_error(self, int status, str reason) except -1

    # Only of multiplexed codecs
    # The same for one stream. Its further input is discarded, and its response is the session's. request: None without
    # a valid head; then there was no on_request(), and release() has to follow the response.
    cdef int on_stream_error(self, int stream, int status, str reason, Request request) except -1
    # A stream ended early: by the client, or with a reason by the codec, which has reset it. Nothing can be sent on it
    # any more. It still counts until release().
    cdef int on_reset(self, int stream, ErrorCode code, str reason) except -1
    # Queued output of the stream has drained to LOW_WATER or less.
    cdef int on_stream_writable(self, int stream) except -1
    # The last byte of the response is in the connection's output.
    cdef int on_stream_sent(self, int stream) except -1
    # The client violated the protocol of the connection, or a limit. The message to it is in the output; nothing more
    # is parsed, and all streams are lost.
    cdef int on_connection_error(self, ErrorCode code, str reason) except -1
    # The client will open no further streams. Those that are open continue.
    cdef int on_goaway(self, ErrorCode code) except -1
    # No stream is left after start_drain() or on_goaway(), and the client knows that there will be none.
    cdef int on_drained(self) except -1


# How the client learns of the end of a response body.
cdef enum Framing:
    FRAMING_DECLARED    # by a Content-Length among the fields, or there is not any body
    FRAMING_LENGTH      # by a Content-Length that the codec adds
    FRAMING_STREAM      # length unknown: by the protocol's own means (chunked, close, end of stream)
    FRAMING_TUNNEL      # no body: both directions become a tunnel for WebSocket (101 in HTTP/1)


cdef class HeadEncoder:
    """Encodes the heads of responses. It has no state that an encoding changes, so any thread may use it."""
    cdef readonly bytes hsts        # value of Strict-Transport-Security of all responses, None without that field
    # Encodes status and validated fields for send_head(). reason: a phrase in place of the registered one, if the
    # protocol has reason phrases.
    cdef object encode(self, int status, bytes reason, const Field* fields, Py_ssize_t count)


@cython.no_gc
cdef class Codec:
    """One connection in any version of HTTP.

    Reading: a codec with several streams does not stop at one whose exchange accepts no more bytes. It gives that
    stream no further flow-control credit, keeps the bytes that its window still admits, and continues with the others.
    Writing: calls name the stream; the encoded bytes go to the connection's output.
    """
    cdef Sink sink                  # set and unset by the session that owns this codec
    cdef OutputOwner connection     # unset together with the sink

    # Parses up to `size` bytes and returns the number consumed. The caller keeps the rest and passes it again,
    # followed by new bytes.
    cdef Py_ssize_t feed(self, const char* data, Py_ssize_t size) except -1

    # Bytes of a body that have not been fed and have no framing between them, 0 if there are none.
    cdef long long unread_body(self, int stream) noexcept
    cdef int skip_body(self, int stream, long long size) except -1  # these were read by another thread

    cdef int send_informational(self, int stream, object head) except -1
    cdef int send_head(self, int stream, object head, Framing framing, long long length, bint close) except -1
    cdef int send_body(self, int stream, bytes data) except -1
    cdef int send_data(self, int stream, const char* data, Py_ssize_t size) except -1   # the same, copied; in a tunnel
    cdef int send_file(self, int stream, FileRange file) except -1
    cdef int send_end(self, int stream) except -1
    # In place of send_end(), after a body of unknown length.
    cdef int send_trailers(self, int stream, const Field* fields, Py_ssize_t count) except -1


@cython.no_gc
cdef class SerialCodec(Codec):
    """A codec of one message at a time: HTTP/1. feed() stops after each message until next_message()."""
    cdef bint wants_input(self) noexcept        # feed() would make progress with more bytes
    cdef bint in_message(self) noexcept         # a request has started and has not ended
    cdef int next_message(self) except -1       # the response is complete: parsing may continue
    cdef int discard_body(self) except -1       # the rest of the body is discarded: its size is not limited any more
    cdef Request unfinished(self)               # a request whose head is incomplete or refused, None without its target
    cdef bint persists(self) noexcept           # another message may follow this response
    cdef bint close_delimited(self) noexcept    # only the close marks the end of this response


cdef class SerialCodecFactory:
    """Creates the codec of a new connection, which determines its protocol."""
    cdef HeadEncoder encoder        # of the responses on all its connections

    cdef SerialCodec create(self, OutputOwner connection)


@cython.no_gc
cdef class MultiplexedCodec(Codec):
    """A codec of many concurrent streams: HTTP/2.

    Streams: one exists from its on_request(), or on_stream_error(), until it has ended in both directions and release()
    was called. All that exist count against the limit of concurrent streams, so a client cannot have more application
    calls than that by resetting streams (CVE-2023-44487, CVE-2025-8671). Calls that name a stream that does not exist
    any more, or that was reset, do nothing.

    Reading: feed() consumes all frames of all streams, and keeps only the bytes of an incomplete one with the caller.
    The bytes of a body stay with the exchange; the client may send further ones as consume() reports their use.

    Writing: heads and small complete responses go to the connection's output at once. Everything else is queued by
    stream and moved by fill(), in the order of the client's priorities. So fill() precedes each flush.
    """
    # CLOCK_MONOTONIC seconds; set by the session before feed() and fill(). Coarse time is precise enough.
    cdef double now
    cdef int streams                # that exist

    # The session's object of a stream, None if it has none. release() removes it.
    cdef object owner(self, int stream)
    cdef int set_owner(self, int stream, object owner) except -1
    cdef list owners(self)          # those of all streams that exist

    # Input
    # Bytes of on_body() have left the exchange's buffer: taken, spooled or discarded.
    cdef int consume(self, int stream, Py_ssize_t size) except -1
    # Whether bytes that were not consumed use up more than half of the window that all streams share.
    cdef bint is_window_used(self) noexcept
    # A tunnel's exchange takes bytes again: on_tunnel() follows for those that wait, and on_end() after the last one.
    # Bytes that on_tunnel() has taken are consumed by that. Not to be called in a call of the sink.
    cdef int resume_tunnel(self, int stream) except -1
    # Nothing more of the request is wanted. The codec discards further input, and resets the stream with this code
    # after the last byte of the response (RFC 9113 section 8.1), unless the request has ended before that.
    cdef int end_input(self, int stream, ErrorCode code) except -1

    # Output
    # Moves queued output of streams to that of the connection until this has `size` bytes.
    cdef int fill(self, Py_ssize_t size) except -1
    cdef Py_ssize_t queued(self, int stream) noexcept   # bytes of the stream that are not in the connection's output
    cdef bint has_queued(self) noexcept     # fill() would move something now, if it may
    # The value of a response's Priority field replaces the client's wish (RFC 9218 section 8).
    cdef int set_priority(self, int stream, bytes value) except -1
    # Since when the client's windows have admitted too little of queued output, by `now` of that time: the earliest
    # moment and its stream, 0 for all streams of the connection. Returns 0 if no output waits for a window.
    cdef double stalled_since(self, int* stream) noexcept

    # Ends
    # Discards queued output and resets the stream, at once. The session calls release() as for all others.
    cdef int reset(self, int stream, ErrorCode code) except -1
    # The application call of the stream has returned, and nothing of its body is kept any more.
    cdef int release(self, int stream) except -1
    # Announces that the connection ends, without a number of the last stream. When the client has confirmed it, or at
    # finish_drain(), the last stream is announced, and later ones are ignored (RFC 9113 section 6.8).
    cdef int start_drain(self) except -1
    cdef int finish_drain(self) except -1
    # Ends the connection with a message to the client. The session closes it, and is not called any more.
    cdef int fail_connection(self, ErrorCode code) except -1
    # Unties the codec from sink, connection, and the owners of all streams. The last call.
    cdef int abandon(self) except -1

    # When a frame of the protocol, or a head of several, has started that has not ended, by `now` of that time: the
    # time for it is to be limited. 0 if there is none, and in the bytes of a body.
    cdef double head_since(self) noexcept


cdef class MultiplexedCodecFactory:
    """Creates the codec of a new connection, which determines its protocol."""
    cdef HeadEncoder encoder        # of the responses on all its connections

    cdef MultiplexedCodec create(self, OutputOwner connection)
