"""The base of HTTP codecs of all versions: bytes in, calls on a sink out, bytes to send out.

Rule of this file: a sink call may queue output on the codec; it never feeds the codec, flushes, or runs
application code. `stream` numbers the requests of a multiplexed connection; HTTP/1 has only stream 0.
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
    cdef readonly bint websocket_key        # it has Sec-WebSocket-Key, as a handshake has whose upgrade a proxy removed
    cdef readonly long long content_length  # bytes of the body; 0 without one, -1 when chunked
    cdef ForwardingFields forwarding        # reports of proxies among the headers


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
    cdef HeadEncoder encoder

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
    cdef SerialCodec create(self, OutputOwner connection)
