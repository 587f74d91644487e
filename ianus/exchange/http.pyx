"""The state of one exchange.

Facts: typical requests have no body, and typical responses are one head and one piece of body. Strategy: the head is
encoded when the application starts the response and sent with the first piece, when it is known whether there is
more; so a whole response gets a Content-Length and one send.

Rules: an application must deliver the length that it declared, or the connection is closed. A complete exchange ignores
calls of the application; a disconnected one raises.

Compiled because every request passes here.
"""
cimport cython
import sys

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject

from ianus.codec.base cimport FRAMING_DECLARED, FRAMING_LENGTH, FRAMING_STREAM, Framing, HeadEncoder, Request
from ianus.codec.fields cimport has_token
from ianus.codec.file_range cimport FileRange
from ianus.runtime.live_objects cimport EXCHANGES, count
from ianus.exchange.error_response cimport send_error_response
from ianus.exchange.base cimport ExchangeHost
from ianus.exchange.in_flight_counter cimport COUNTED_REQUEST, InFlightKind
from ianus.exchange.response_head cimport ResponseFacts, build_head, write_trailers
from ianus.runtime.clock cimport monotonic
from ianus.telemetry.observer cimport RequestFacts

from ianus.errors import has_regular_links, whole_traceback
from ianus.exchange.disconnect import ClientDisconnected
from ianus.telemetry.logger import logger


cdef str HEAD = sys.intern("HEAD")  # the object of codec/http1/request_line


# No garbage collector for these: the cycle with a waiting task ends when the application returns.
@cython.no_gc
cdef class Exchange:
    def __cinit__(self):
        count(EXCHANGES, 1)
        self.declared_length = self.computed_length = -1

    def __dealloc__(self):
        count(EXCHANGES, -1)

    # ---------------------------------------------------------------- from the session

    cdef int body_arrived(self, const char* data, Py_ssize_t size) except -1:
        self.body_last = monotonic()
        self.body_received += size
        self.awaits_continue = False
        if self.response_complete:
            return 0
        if self.body is None:
            self.body = PyBytes_FromStringAndSize(data, size)
        else:
            # Many small pieces cost amortised linear time (CVE-2025-69229).
            if type(self.body) is bytes:
                self.body = bytearray(self.body)
            (<bytearray>self.body).extend(PyBytes_FromStringAndSize(data, size))
        self.buffered += size
        self.has_unread_input = True
        return 0

    cdef int request_ended(self) except -1:
        self.request_complete = True
        self.awaits_continue = False
        self.has_unread_input = True
        return 0

    cdef int disconnect(self) except -1:
        """Notifies a waiting application that the connection is gone."""
        if self.response_complete or self.disconnected:
            return 0
        self.disconnected = True
        self.session = None
        self.head = None
        # In this order (gateway/asgi/gateway): a task that waits in send() continues before another one cancels it.
        self.notify_writable()
        self.notify_readable()
        return 0

    cdef str exceeded_limit(self):
        return self.service.in_flight.exceeded_limit(self.in_flight_kind())

    cdef int drain(self) except -1:
        if self.service.ends_streams and (self.is_event_stream or not self.status and self.asks_for_events()):
            return self.stop_stream()
        return 0

    cdef int stop_stream(self) except -1:
        self.stopped = True
        return self.end_events()

    cdef int end_events(self) except -1:
        """Ends an event stream before its application does: not an error, as clients discard an unfinished event."""
        cdef ExchangeHost session = self.session
        if session is None:
            return 0
        self.send_head_now()
        if not self.head_sent or self.declared_length >= 0:
            return self.abort_response()
        if not self.no_body:
            session.send_end(self.stream)
        self.disconnect()
        return session.on_response_aborted(self.stream, False)

    cdef double stop_deadline(self) noexcept:
        return 0

    cdef bint awaits_body(self) noexcept:
        return True

    cdef bint is_busy(self) noexcept:
        return True

    cdef bint asks_for_events(self) except -1:
        """By the one value that EventSource gives the field (HTML, "Server-sent events")."""
        return self.request.method == "GET" and (b"accept", b"text/event-stream") in self.request.headers

    cdef Py_ssize_t tunnel_received(self, const char* data, Py_ssize_t size) except -1:
        raise NotImplementedError

    cdef double tunnel_deadline(self) noexcept:
        return 0

    cdef int tunnel_expired(self) except -1:
        raise NotImplementedError

    cdef bint start(self) except -1:
        raise NotImplementedError

    cdef bint notify_readable(self) except -1:
        return False

    cdef int notify_writable(self) except -1:
        return 0

    cdef int flush_deferred(self) except -1:
        return self.send_head_now()

    # ---------------------------------------------------------------- from the gateway: request

    cdef InFlightKind in_flight_kind(self) noexcept:
        return COUNTED_REQUEST

    cdef int add_in_flight(self) except -1:
        return self.service.in_flight.add(
            &self.in_flight, self.in_flight_kind(), self.request.method, self.request.target
        )

    cdef int remove_in_flight(self) except -1:
        return self.service.in_flight.remove(&self.in_flight)

    cdef bytes take_body(self):
        cdef bytes body
        if self.body is None:
            return b""
        body = self.body if type(self.body) is bytes else bytes(self.body)
        if self.buffered >= HIGH_WATER:
            # Nothing was read since the last bytes arrived; the client does not account for that time.
            self.body_since += monotonic() - self.body_last
            self.body_last = monotonic()
        self.body = None
        self.buffered = 0
        if not self.request_complete and self.session is not None:
            self.session.reconsider(self.stream)
        return body

    cdef bint accepts_body(self) noexcept:
        return not self.request_complete and self.buffered < HIGH_WATER

    cdef int want_body(self) except -1:
        """RFC 9110 section 10.1.1: 100 is sent when the application wants the body, not before."""
        if not self.awaits_continue or self.session is None:
            return 0
        self.awaits_continue = False
        self.body_since = self.body_last = monotonic()
        if not self.head_sent:
            self.session.send_informational(self.stream, self.session.encoder.encode(100, None, NULL, 0))
            self.session.output_queued(self.stream, True)
        return self.session.reconsider(self.stream) if self.session is not None else 0

    # ---------------------------------------------------------------- from the gateway: response

    cdef int send_hints(self, object head) except -1:
        """RFC 8297: a 103 in front of the head, which the client may act on while the application still works."""
        if self.disconnected:
            raise ClientDisconnected
        if self.head_sent:
            raise RuntimeError("early hints must precede the response head, which was sent")
        self.session.send_informational(self.stream, head)
        return self.session.output_queued(self.stream, self.flush_each_piece)

    cdef int check_final(self, int status) except -1:
        if not 200 <= status <= 999:
            raise ValueError(f"response status {status} is not a final status (200 to 999)")
        return 0

    cdef object prepare_response(
        self, HeadEncoder encoder, int status, bytes reason, object headers, bint native, bint trailers,
        ResponseFacts* facts,
    ):
        """Checks the start of the application's response; changes nothing yet."""
        cdef bint logged = self.service.observer is not None and self.service.observer.wants_response_headers
        if logged:
            headers = [tuple(pair) for pair in headers]  # Some can be read only once.
        head = build_head(
            self.service, encoder, status, reason, headers, native, self.request_id, trailers, self.gateway.name, facts
        )
        if logged:
            if native:
                headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            self.response_headers = [(bytes(name).lower(), bytes(value)) for name, value in headers]
        return head

    cdef bint has_no_body(self, int status) noexcept:
        """RFC 9112 section 6.3: such a response has none, with any fields."""
        return status == 204 or status == 304 or self.request.method is HEAD

    cdef int begin_response(self, int status, object head, const ResponseFacts* facts) except -1:
        """Takes a prepared head, which is sent with the first piece of the body."""
        self.head = head
        self.status = status
        self.close = facts.close
        self.no_body = self.has_no_body(status)
        self.declared_length = facts.content_length
        if facts.is_event_stream and self.request.method == "GET":
            self.is_event_stream = True
        return 0

    cdef bint accepts_trailers(self) except -1:
        """RFC 9110 section 6.5.1: a client that wants them sends TE: trailers; HTTP/1.0 has none."""
        if self.request.http_version == "1.0":
            return False
        for name, value in self.request.headers:
            if name == b"te" and has_token(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), b"trailers", 8):
                return True
        return False

    cdef int send_body(self, bytes data, bint more) except -1:
        """One piece of the body; more=False is the last one."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        if self.prepare_piece(size, more) and size:
            self.session.send_body(self.stream, data)
            self.bytes_sent += size
        return self.piece_sent(more)

    cdef int send_file(self, FileRange file, bint more, bint waits) except -1:
        """The same with a part of a file; waits: the end of the response is still to be called for."""
        cdef long long size = file.left
        if self.prepare_piece(size, more) and size:
            self.session.send_file(self.stream, file)
            self.bytes_sent += size
        return self.piece_sent(more or waits)

    cdef bint prepare_piece(self, long long size, bint more) except -1:
        """Checks the size of a piece and sends the head before the first one. Whether the piece is to be sent."""
        cdef Framing framing
        if self.disconnected:
            raise ClientDisconnected
        if self.no_body:
            if not self.head_sent:
                # RFC 9110 section 9.3.2: the response to HEAD may have the length of a GET's body, if that is known.
                size = max(size, self.computed_length)
                if size and not more and self.declared_length < 0 and self.status != 204 and self.status != 304:
                    self.send_head(FRAMING_LENGTH, size, False)
                else:
                    self.send_head(FRAMING_DECLARED, 0, False)
            return False
        if self.declared_length >= 0 and (
            size > self.declared_length - self.bytes_sent or not more and size < self.declared_length - self.bytes_sent
        ):
            self.fail_on_length(self.bytes_sent + size)
        if not self.head_sent:
            if self.declared_length >= 0:
                framing = FRAMING_DECLARED
            elif self.computed_length >= 0:
                framing = FRAMING_LENGTH
                size = self.declared_length = self.computed_length
            elif more or self.trailers is not None:
                framing = FRAMING_STREAM
            else:
                framing = FRAMING_LENGTH
            self.send_head(framing, size, not more)
        return True

    cdef int piece_sent(self, bint more) except -1:
        """Sends the gathered output, or ends the response."""
        if not more and not self.trailers_follow:
            self.session.send_end(self.stream)
            if self.defer_completion and self.session.is_serial(self.stream):
                self.completion_deferred = True
                self.session.response_queued(self.stream)
                return self.session.resume_soon(self.stream)
            return self.complete()
        self.body_complete = not more
        return self.session.output_queued(self.stream, self.flush_each_piece)

    cdef int send_trailers(self, object headers, bint more) except -1:
        """Some of the trailers; more=False are the last ones and end the response."""
        if self.disconnected:
            raise ClientDisconnected
        if self.trailers is not None:
            self.trailers.extend(headers)
        if more:
            return 0
        if self.trailers:
            write_trailers(self.session, self.stream, self.trailers)
        else:
            self.session.send_end(self.stream)
        return self.complete()

    cdef int send_head(self, Framing framing, long long length, bint whole) except -1:
        self.session.send_head(self.stream, self.head, framing, length, self.must_close(whole))
        self.head = None
        self.head_sent = True
        if framing == FRAMING_STREAM:
            self.note_head_end()
        return 0

    cdef int note_head_end(self) except -1:
        self.head_end = self.session.position(self.stream)
        return 0

    cdef int send_head_now(self) except -1:
        """The application suspended between head and body: an EventSource opens before its first event."""
        if self.head is not None and not self.head_sent and self.session is not None and not self.disconnected:
            if self.no_body or self.declared_length >= 0:
                self.send_head(FRAMING_DECLARED, 0, False)
            else:
                self.send_head(FRAMING_STREAM, 0, False)
        return 0

    cdef int send_error(self, int status, str detail, list fields, bint close) except -1:
        """The server's own answer, in place of the application's; nothing of that has left."""
        if self.session is None:
            return 0
        self.head = self.response_headers = None
        self.status = status
        close = close or self.must_close(True)
        self.bytes_sent = send_error_response(
            self.service, self.session, self.stream, status, detail, fields, self.request_id,
            self.request.method is HEAD, close,
        )
        self.head_sent = True
        return self.complete()

    cdef bint must_close(self, bint whole) noexcept:
        """Whether this response is to be the last of its connection; whole: it ends right now."""
        if self.close or self.service.draining:
            return True
        if self.awaits_continue:
            # The client may send the body or not, which cannot be distinguished from a next request.
            return True
        # A client that has much of its request body left to send had better stop (RFC 9112 section 9.5).
        return (
            whole and not self.request_complete
            and self.request.content_length - self.body_received > MAX_DISCARDED_BYTES
        )

    cdef int complete(self) except -1:
        cdef ExchangeHost session = self.session
        self.response_complete = True
        self.body = None
        self.buffered = 0
        self.session = None
        if self.service.observer is not None and not self.completion_deferred:
            session.response_queued(self.stream)
        session.response_complete(self.stream)
        # An application that still listens learns that it is over.
        self.notify_readable()
        return 0

    cdef bint congested(self) noexcept:
        return self.session is not None and self.session.congested(self.stream)

    cdef int fail_on_length(self, long long size) except -1:
        """Never a desynchronised connection: the application gets the error, the client a close."""
        declared = self.declared_length
        self.close = True
        if self.head_sent:
            self.abort_response()
        raise ValueError(f"response body has {size} bytes, its content-length is {declared}")

    cdef int abort_response(self) except -1:
        cdef ExchangeHost session = self.session
        if session is None:
            return 0
        self.response_aborted = True
        self.disconnect()
        return session.on_response_aborted(self.stream, True)

    cdef int fail_with_500(self) except -1:
        """The application ended without a whole response."""
        if self.head_sent:
            return self.abort_response()
        return self.send_error(500, None, [], False)

    cdef int report(self, str event, object error) except -1:
        """Logs a mistake of the application's."""
        if error is None:
            logger.error("%s: %s", event, self.request_line())
        elif has_regular_links(error):
            logger.error("%s: %s", event, self.request_line(), exc_info=(type(error), error, error.__traceback__))
        else:
            # Handlers format exc_info, some for ever.
            logger.error("%s: %s\n%s", event, self.request_line(), whole_traceback(error).rstrip())
        return 0

    cdef str request_line(self):
        """The codec let nothing into a target but printable ASCII (CVE-2020-7694)."""
        return f"{self.request.method} {self.request.target.decode('ascii')}"

    # ---------------------------------------------------------------- the end

    cdef int report_end(self, long long unsent) except -1:
        cdef RequestFacts facts
        cdef Request request = self.request
        if self.service.observer is None:
            return 0
        facts.client = <PyObject*>self.connection.client
        facts.method = <PyObject*>request.method
        facts.target = <PyObject*>request.target
        facts.http_version = <PyObject*>request.http_version
        facts.headers = <PyObject*>request.headers
        facts.response_headers = <PyObject*>self.response_headers
        facts.request_id = <PyObject*>self.request_id
        facts.status = self.sent_status(unsent)
        facts.size = self.bytes_sent if unsent == 0 else self.body_taken(unsent)
        facts.started = self.started
        facts.duration = monotonic() - self.started
        return self.service.observer.on_request_end(&facts)

    cdef int sent_status(self, long long unsent) noexcept:
        """The status that was sent, or nginx's 499 for a client that left before it had its response.

        A stream of unknown length keeps its status: an event stream always ends like that.
        """
        if self.status == 101:
            return 101
        if not self.head_sent or self.peer_finished_early:
            return 499
        if self.response_aborted and not self.peer_finished:
            return self.status
        if self.response_complete or self.completion_deferred:
            return 499 if unsent else self.status
        if self.declared_length >= 0 and not self.no_body or self.end_position - unsent < self.head_end:
            return 499
        return self.status

    cdef long long body_taken(self, long long unsent) noexcept:
        """Bytes of the body that the kernel has taken.

        In a stream the framing of chunks or WebSocket frames takes its share of the unsent bytes.
        """
        cdef long long framed = self.end_position - self.head_end if self.head_end else self.bytes_sent
        if unsent >= framed:
            return 0
        if framed == self.bytes_sent:
            return self.bytes_sent - unsent
        return self.bytes_sent - <long long>(<double>unsent * self.bytes_sent / framed)
