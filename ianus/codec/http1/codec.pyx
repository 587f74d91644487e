"""The HTTP/1 codec: one state machine over lines and bodies, no socket, no clock.

Strategy: a head is read line by line, each line as soon as it is complete. An incomplete line is not consumed, so
the caller passes it again, followed by more, and `searched` is the number of its bytes without an LF. Bodies are
consumed as they arrive.

Rules of this file:
- A length is checked before the bytes are looked at, so that input fails in the same way however it is cut into pieces.
- After fail() nothing is parsed any more: feed() discards all input (CVE-2024-49768).
- One message at a time: after each one feed() stops until next_message(), so responses keep their order.

Compiled because every request passes here: 988 instructions for ASGI hello.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp

from ianus.codec.base cimport (
    FRAMING_LENGTH, FRAMING_STREAM, FRAMING_TUNNEL, Framing, Request, SerialCodec, SerialCodecFactory,
)
from ianus.codec.fields cimport TOKEN, Field, is_token
from ianus.codec.file_range cimport FileRange
from ianus.codec.http1.chunked cimport CHUNK_DATA, DATA_CR, TRAILERS, ChunkedDecoder
from ianus.codec.field_cache cimport FieldCache, KnownField, find_known
from ianus.codec.http1.head cimport append_known, finish_head, parse_field_line
from ianus.codec.http1.request cimport Http1Request
from ianus.codec.http1.request_line cimport parse_truncated, parse_request_line
from ianus.codec.http1.response cimport Http1HeadEncoder, encode_fields, write_chunk_size, write_length
from ianus.codec.limits cimport Limits
from ianus.codec.output cimport Output, OutputOwner, output_of


cdef long long UNLIMITED = 0x7FFFFFFFFFFFFFFF

# RFC 8446 section 5.1: the first byte of a client's first record.
cdef char TLS_HANDSHAKE = 22


@cython.no_gc
cdef class Http1Codec(SerialCodec):
    # ---------------------------------------------------------------- reading

    cdef Py_ssize_t feed(self, const char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t done = 0, used
        while done < size:
            if self.state == START:
                # 0 from any of these means that a line is not complete; the caller passes its bytes again.
                used = self.read_request_line(data + done, size - done)
            elif self.state == FIELDS:
                used = self.read_field(data + done, size - done)
            elif self.state == BODY_LENGTH:
                used = self.read_body(data + done, size - done)
            elif self.state == BODY_CHUNKED:
                used = self.read_chunked(data + done, size - done)
            elif self.state == TRAILER_FIELDS:
                used = self.read_trailer(data + done, size - done)
            elif self.state == COMPLETE:
                # Pipelined requests wait here, in the connection's leftover, until the response is complete (RFC 9112
                # section 9.3.2).
                return done
            elif self.state == TUNNEL:
                # The sink's answer counts, also 0: another protocol decides how much it takes.
                return done + self.sink.on_tunnel(0, data + done, size - done)
            else:
                # ENDED: consumed and ignored, so that a closing connection keeps no bytes.
                return size
            # After fail() the loop continues, to discard the rest.
            if used == 0 and self.state != ENDED:
                return done
            done += used
        return done

    cdef bint wants_input(self) noexcept:
        # By the protocol alone: the session also regards its exchange and the output.
        return self.state != COMPLETE and self.state != ENDED

    cdef bint in_message(self) noexcept:
        if self.state == START:
            # A part of the request line was seen. The empty line before it does not count.
            return self.searched > 0
        return self.state != COMPLETE and self.state != ENDED

    cdef int next_message(self) except -1:
        self.request = None
        self.chunked = None
        self.skipped_line = False
        # RFC 9112 section 9.6: nothing is read after a request or response that closes.
        self.state = START if self.keep_alive else ENDED
        return 0

    cdef long long unread_body(self, int stream) noexcept:
        return self.body_left if self.state == BODY_LENGTH else 0

    cdef int skip_body(self, int stream, long long size) except -1:
        # After fail() the rest of the connection has no meaning.
        if self.state != BODY_LENGTH:
            return 0
        self.body_left -= size
        return self.end_message() if self.body_left == 0 else 0

    cdef int discard_body(self) except -1:
        if self.state == BODY_CHUNKED:
            # The response is sent already: an error about the size could not be answered. The session limits the time
            # instead.
            self.body_left = UNLIMITED
        return 0

    cdef Request unfinished(self):
        cdef Http1Request request = self.request
        # Without a target the log has nothing to name.
        return None if request is None or request.target is None else request

    cdef Py_ssize_t find_line(self, const char* data, Py_ssize_t size) noexcept:
        """Returns the size of the line at data without its LF, or -1 if it is not complete."""
        # Continues after the bytes that were searched before, so that a slow client costs linear time.
        cdef const char* end = <const char*>memchr(data + self.searched, c'\n', size - self.searched)
        if end == NULL:
            self.searched = size
            return -1
        self.searched = 0
        return end - data

    cdef Py_ssize_t read_request_line(self, const char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t line, known
        cdef const char* reason
        cdef int status
        # Other protocols are refused at their first byte.
        if not TOKEN[<unsigned char>data[0]] and data[0] != c'\r':
            if data[0] == TLS_HANDSHAKE:
                return self.fail(400, "TLS handshake on an address without TLS; write http:// in place of https://")
            return self.fail(400, "not an HTTP request")
        line = self.find_line(data, size)
        known = size if line < 0 else line
        # A CR may be among them and is not counted.
        # Checked on an incomplete line, too, or a line without end would fill the receive buffer.
        if known > self.limits.limit_request_line + 1:
            # RFC 9112 section 3: 501 for a method that is longer than any known one.
            if is_token(data, self.limits.limit_request_line + 1):
                return self.fail(501, "method over limit-request-line")
            # For the logs.
            self.request = parse_truncated(data, known)
            # RFC 9110 section 15.5.15
            return self.fail(414, "request line over limit-request-line")
        if line < 0:
            return 0
        if line == 0 or data[line - 1] != c'\r':
            # RFC 9112 section 2.2 allows a bare LF. Proxies differ in it, so a second request could be hidden from
            # them.
            return self.fail(400, "bare LF in request line")
        if line == 1:
            # RFC 9112 section 2.2: one empty line is left over by some old clients.
            if self.skipped_line:
                # Version 2 of the PROXY protocol starts with them. The rest of its signature may not be here yet.
                return self.fail(400, "empty lines before the request line, as of a PROXY header; see --proxy-protocol")
            self.skipped_line = True
            return 2
        self.request = Http1Request.__new__(Http1Request)
        # Filled line by line, and handed to the application as it is.
        self.request.headers = []
        status = parse_request_line(data, line - 1, self.request, &reason)
        if status:
            # Of version 1 no line has the form of a request line.
            if line > 6 and memcmp(data, b"PROXY ", 6) == 0:
                return self.fail(status, "unexpected PROXY header; see --proxy-protocol")
            # `reason` points to a static text, which is not freed.
            return self.fail(status, reason.decode("ascii"))
        self.state = FIELDS
        return line + 1

    cdef Py_ssize_t read_field(self, const char* data, Py_ssize_t size) except -1:
        cdef Http1Request request = self.request
        cdef Py_ssize_t line = self.find_line(data, size)
        cdef Py_ssize_t received = size if line < 0 else line
        cdef const KnownField* known
        cdef const char* reason
        cdef int status
        if received > self.limits.limit_request_field_size + 1:
            # RFC 6585 section 5
            return self.fail(431, "field over limit-request-field-size")
        if request.fields_size + received > self.limits.limit_request_fields_size + 1:
            return self.fail(431, "fields over limit-request-fields-size")
        if line < 0:
            return 0
        if line == 0 or data[line - 1] != c'\r':
            # As in the request line
            return self.fail(400, "bare LF in field")
        # The empty line: the head is complete, and only now its fields can be judged together.
        if line == 1:
            status = finish_head(request, &reason)
            if status:
                return self.fail(status, reason.decode("ascii"))
            self.start_body()
            return 2
        if len(request.headers) >= self.limits.limit_request_fields:
            return self.fail(431, "more fields than limit-request-fields")
        # Counted as received, with line ends, so that many empty fields are limited too.
        request.fields_size += line + 1
        known = find_known(self.cache, data, line - 1)
        if known != NULL:
            status = append_known(known, request.headers, &request.facts, &reason)
        else:
            status = parse_field_line(data, line - 1, request.headers, &request.facts, &reason, self.cache)
        if status:
            return self.fail(status, reason.decode("ascii"))
        return line + 1

    cdef int start_body(self) except -1:
        """Chooses how the body is read, after a complete head, then reports the request to the sink."""
        cdef Http1Request request = self.request
        cdef long long limit = self.limits.max_request_body_size
        # Copied: the request is the application's after this, while the response is encoded by these.
        self.minor = request.minor
        self.keep_alive = request.keep_alive
        # Before the sink hears of the request, so that no application is called for it.
        if limit and request.content_length > limit:
            return self.fail(413, f"body of {request.content_length} bytes over max-request-body-size")
        if request.content_length < 0:
            self.state = BODY_CHUNKED
            # Made for a chunked body alone, and freed by next_message().
            self.chunked = ChunkedDecoder.__new__(ChunkedDecoder)
            self.body_left = limit if limit else UNLIMITED
        elif request.content_length:
            self.state = BODY_LENGTH
            self.body_left = request.content_length
        else:
            # RFC 9112 section 6.3: without one of both fields a request has no body.
            self.state = COMPLETE
        self.sink.on_request(0, request)
        if self.state == COMPLETE:
            # The sink has the request before its end, in the order of all other messages.
            self.sink.on_end(0)
        return 0

    cdef Py_ssize_t read_body(self, const char* data, Py_ssize_t size) except -1:
        # Bytes after the body are the next request's, and stay with the caller.
        if size > self.body_left:
            size = <Py_ssize_t>self.body_left
        self.body_left -= size
        self.sink.on_body(0, data, size)
        if self.body_left == 0:
            # After on_body(): the sink has all bytes when it learns of the end.
            self.end_message()
        return size

    cdef Py_ssize_t read_chunked(self, const char* data, Py_ssize_t size) except -1:
        cdef ChunkedDecoder chunked = self.chunked
        cdef Py_ssize_t used
        if chunked.state != CHUNK_DATA:
            used = chunked.read_framing(data, size)
            # After an invalid chunk the rest of the connection has no known framing (RFC 9112 section 7.1).
            if used < 0:
                return self.fail(400, chunked.reason.decode("ascii"))
            if chunked.state == TRAILERS:
                self.state = TRAILER_FIELDS
                # Kept apart from the fields of the head (RFC 9110 section 6.5.1).
                chunked.trailers = []
            # As soon as the size line is read, before its bytes are received.
            elif chunked.state == CHUNK_DATA and chunked.left > self.body_left:
                return self.fail(413, "chunked body over max-request-body-size")
            return used
        # At most to the end of the chunk, and at most the bytes that are here.
        used = <Py_ssize_t>min(<long long>size, chunked.left)
        chunked.left -= used
        self.body_left -= used
        if chunked.left == 0:
            # read_framing() checks the CRLF after the data.
            chunked.state = DATA_CR
        self.sink.on_body(0, data, used)
        return used

    cdef Py_ssize_t read_trailer(self, const char* data, Py_ssize_t size) except -1:
        """Trailers share the limits of the fields (CVE-2026-22815) and are never merged into them."""
        cdef ChunkedDecoder chunked = self.chunked
        cdef Py_ssize_t line = self.find_line(data, size)
        cdef Py_ssize_t known = size if line < 0 else line
        cdef const char* reason
        cdef int status
        if known > self.limits.limit_request_field_size + 1:
            return self.fail(431, "trailer over limit-request-field-size")
        # Its own sum, by the same limit as the head's.
        if chunked.trailers_size + known > self.limits.limit_request_fields_size + 1:
            return self.fail(431, "trailers over limit-request-fields-size")
        if line < 0:
            return 0
        if line == 0 or data[line - 1] != c'\r':
            return self.fail(400, "bare LF in trailer")
        if line == 1:
            if chunked.trailers:
                # Only if there are any, before the end of the message.
                self.sink.on_trailers(0, chunked.trailers)
            self.end_message()
            return 2
        if len(chunked.trailers) >= self.limits.limit_request_fields:
            return self.fail(431, "more trailers than limit-request-fields")
        chunked.trailers_size += line + 1
        # Without facts: a trailer has no effect on framing, and those that claim one are refused.
        status = parse_field_line(data, line - 1, chunked.trailers, NULL, &reason, None)
        if status:
            return self.fail(status, reason.decode("ascii"))
        return line + 1

    cdef int end_message(self) except -1:
        # Before the sink is called, as in start_body().
        self.state = COMPLETE
        return self.sink.on_end(0)

    cdef int fail(self, int status, str reason) except -1:
        """Reports a protocol error; returns 0, for the callers that return bytes consumed."""
        # Before the sink is called, so that it finds the codec in its last state.
        self.state = ENDED
        # The response to the error is the last one (RFC 9112 section 9.6).
        self.keep_alive = False
        self.sink.on_error(status, reason)
        return 0

    # ---------------------------------------------------------------- writing

    cdef bint persists(self) noexcept:
        return self.keep_alive

    cdef bint close_delimited(self) noexcept:
        # The session aborts such a response with a reset if it fails midway, or a part would pass for the whole.
        return self.until_close

    cdef int send_informational(self, int stream, object head) except -1:
        """An interim response; a 1.0 client must not get one (RFC 9110 section 15.2)."""
        # The request's version decides, not the one of the status line.
        if self.minor == 0:
            return 0
        cdef Output out = self.connection.output()
        out.write(PyBytes_AS_STRING(<bytes>head), PyBytes_GET_SIZE(<bytes>head))
        return out.write(b"\r\n", 2)

    cdef int send_head(self, int stream, object head, Framing framing, long long length, bint close) except -1:
        cdef Output out = self.connection.output()
        # RFC 9112 section 6.3: without chunks, only the close marks the end.
        self.until_close = framing == FRAMING_STREAM and self.minor == 0
        # The order of the next lines is that of the wire: status and fields, framing, connection, empty line.
        close = close or self.until_close
        if close:
            self.keep_alive = False
        out.write(PyBytes_AS_STRING(<bytes>head), PyBytes_GET_SIZE(<bytes>head))
        if framing == FRAMING_LENGTH:
            write_length(out, length)
        elif framing == FRAMING_STREAM and self.minor:
            # Until send_end() or send_trailers(), which write the last chunk.
            self.chunking = True
            out.write(b"transfer-encoding: chunked\r\n", 28)
        if framing == FRAMING_TUNNEL:
            # RFC 9110 section 7.8. No message follows on this connection.
            # From here on feed() passes bytes through, also those that arrived together with the request.
            self.state = TUNNEL
            self.keep_alive = False
            out.write(b"connection: upgrade\r\nupgrade: websocket\r\n", 41)
        elif not self.keep_alive:
            # RFC 9112 section 9.6: the client learns that no further request will be answered.
            out.write(b"connection: close\r\n", 19)
        elif self.minor == 0:
            # RFC 9112 appendix C.2.2: a 1.0 client needs a confirmation of its keep-alive.
            out.write(b"connection: keep-alive\r\n", 24)
        return out.write(b"\r\n", 2)

    cdef int send_body(self, int stream, bytes data) except -1:
        cdef Output out = output_of(self.connection)
        if not self.chunking:
            return out.write_bytes(data)
        # The caller sends no empty piece: a chunk of size 0 would end the body.
        write_chunk_size(out, PyBytes_GET_SIZE(data))
        # May keep a reference to `data` instead of copying it. The order of the three writes is kept by the output.
        out.write_bytes(data)
        return out.write(b"\r\n", 2)

    cdef int send_data(self, int stream, const char* data, Py_ssize_t size) except -1:
        return output_of(self.connection).write(data, size)

    cdef int send_file(self, int stream, FileRange file) except -1:
        cdef Output out = output_of(self.connection)
        if not self.chunking:
            return out.write_file(file)
        # The size is declared here. If the file is shorter when it is sent, the connection resets the response.
        write_chunk_size(out, file.left)
        out.write_file(file)
        return out.write(b"\r\n", 2)

    cdef int send_end(self, int stream) except -1:
        if self.chunking:
            # Cleared for the next response of the connection.
            self.chunking = False
            output_of(self.connection).write(b"0\r\n\r\n", 5)
        return 0

    cdef int send_trailers(self, int stream, const Field* fields, Py_ssize_t count) except -1:
        """RFC 9112 section 7.1.2. Without chunks they cannot be sent."""
        cdef bytes lines
        cdef Output out
        if self.chunking:
            self.chunking = False
            # The last chunk and the trailers in one object
            lines = encode_fields(b"0\r\n", fields, count)
            out = output_of(self.connection)
            out.write(PyBytes_AS_STRING(lines), PyBytes_GET_SIZE(lines))
            out.write(b"\r\n", 2)
        return 0


cdef class Http1Factory(SerialCodecFactory):
    """Makes HTTP/1 codecs that share one set of limits."""

    def __init__(self, Limits limits not None):
        self.limits = limits
        self.encoder = Http1HeadEncoder()
        self.cache = FieldCache()

    def set_hsts(self, bytes value not None) -> None:
        """Adds Strict-Transport-Security to all responses. To be called before the first connection."""
        self.encoder.hsts = value

    cdef SerialCodec create(self, OutputOwner connection):
        cdef Http1Codec codec = Http1Codec.__new__(Http1Codec)
        # A cycle, since the connection owns the session, which owns the codec. on_connection_lost() of the session ends
        # it.
        codec.connection = connection
        codec.limits = self.limits
        codec.cache = self.cache
        codec.state = START
        # Until a request is parsed: responses to earlier errors are 1.1 (RFC 9112 section 2.3).
        codec.minor = 1
        return codec
