"""The state of one exchange, and its response.

Facts: typical requests have no body, and typical responses are one head and one piece of body. Strategy: the head is
encoded when the application starts the response and sent with the first piece, when it is known whether there is
more; so a whole response gets a Content-Length and one send.

Rules: an application must deliver the length that it declared, or the connection is closed. A complete exchange ignores
calls of the application; a disconnected one raises.

Compiled because every request passes here: 749 instructions for ASGI hello.
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


cdef double MIN_QUEUE_SECONDS = 1e-6
cdef str HEAD = sys.intern("HEAD")  # the object of codec/http1/request_line


# No garbage collector for these: the cycle with a waiting task ends when the application returns.
@cython.no_gc
@cython.freelist(64)
cdef class Response:
    cdef int start(self, Exchange exchange, int status, object head, const ResponseFacts* facts) except -1:
        """Takes a prepared head, which is sent with the first piece of the body."""
        # Kept until it is known whether the body follows as a whole, which decides the framing.
        self.head = head
        exchange.status = status
        # The field itself is not in the head: the codec writes it (RFC 9110 section 7.6.1).
        self.close = facts.close
        self.no_body = has_no_body(exchange.request, status)
        self.declared_length = facts.content_length
        # Only such a response is ended by the stop. Other methods may use the type for something that must be complete.
        if facts.is_event_stream and exchange.request.method == "GET":
            self.is_event_stream = True
        return 0

    cdef int send_hints(self, Exchange exchange, object head) except -1:
        """RFC 8297: a 103 in front of the head, which the client may act on while the application still works."""
        if exchange.disconnected:
            raise ClientDisconnected
        # RFC 9110 section 15.2: an interim response precedes the final one.
        if exchange.head_sent:
            raise RuntimeError("early hints must precede the response head, which was sent")
        exchange.session.send_informational(exchange.stream, head)
        return exchange.session.output_queued(exchange.stream, self.flush_each_piece)

    cdef int send_body(self, Exchange exchange, bytes data, bint more) except -1:
        """One piece of the body; more=False is the last one."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        # An empty piece is not sent: as a chunk it would end the body.
        if self.prepare_piece(exchange, size, more) and size:
            exchange.session.send_body(exchange.stream, data)
            exchange.bytes_sent += size
        return self.piece_sent(exchange, more)

    cdef int send_file(self, Exchange exchange, FileRange file, bint more, bint waits) except -1:
        """The same with a part of a file; waits: the end of the response is still to be called for."""
        # Read before: sending changes `left`.
        cdef long long size = file.left
        if self.prepare_piece(exchange, size, more) and size:
            exchange.session.send_file(exchange.stream, file)
            exchange.bytes_sent += size
        return self.piece_sent(exchange, more or waits)

    cdef int send_trailers(self, Exchange exchange, object headers, bint more) except -1:
        """Some of the trailers; more=False are the last ones and end the response."""
        if exchange.disconnected:
            raise ClientDisconnected
        # The application's own list is not kept, since it may change.
        if self.trailers is not None:
            self.trailers.extend(headers)
        if more:
            return 0
        if self.trailers:
            # It ends the body as send_end() does.
            write_trailers(exchange.session, exchange.stream, self.trailers)
        else:
            exchange.session.send_end(exchange.stream)
        return exchange.complete()

    cdef int send_head_now(self, Exchange exchange) except -1:
        """The application suspended between head and body: an EventSource opens before its first event."""
        # It is called at each suspension of the application, usually with nothing to do.
        if self.head is None or exchange.head_sent or exchange.session is None or exchange.disconnected:
            return 0
        # With a declared length the framing is known without the body.
        if self.no_body or self.declared_length >= 0:
            return self.send_head(exchange, FRAMING_DECLARED, 0, False)
        return self.send_head(exchange, FRAMING_STREAM, 0, False)

    cdef bint prepare_piece(self, Exchange exchange, long long size, bint more) except -1:
        """Checks the size of a piece and sends the head before the first one. Whether the piece is to be sent."""
        cdef Framing framing
        # Only meaningful if a length was declared.
        cdef long long left = self.declared_length - exchange.bytes_sent
        if exchange.disconnected:
            raise ClientDisconnected
        if self.no_body:
            if not exchange.head_sent:
                # RFC 9110 section 9.3.2: the response to HEAD may have the length of a GET's body, if that is known.
                # computed_length is -1 unless the gateway knows the length of the whole body.
                size = max(size, self.computed_length)
                # RFC 9110 section 8.6: a 204 has no Content-Length, and a 304 only the one of a 200.
                if size and not more and self.declared_length < 0 and exchange.status not in (204, 304):
                    self.send_head(exchange, FRAMING_LENGTH, size, False)
                else:
                    self.send_head(exchange, FRAMING_DECLARED, 0, False)
            return False
        # With another number of bytes the client would misread the next response (RFC 9112 section 6.3).
        if self.declared_length >= 0 and (size > left or not more and size < left):
            self.fail_on_length(exchange, exchange.bytes_sent + size)
        if not exchange.head_sent:
            if self.declared_length >= 0:
                # In this order: the application's own field, a length that the gateway knows, an open end, one whole
                # piece.
                framing = FRAMING_DECLARED
            elif self.computed_length >= 0:
                framing = FRAMING_LENGTH
                # From here on it is checked as if the application had declared it.
                size = self.declared_length = self.computed_length
            elif more or self.trailers is not None:
                framing = FRAMING_STREAM
            else:
                framing = FRAMING_LENGTH
            # The head goes into the same output as the piece, so both are sent together.
            self.send_head(exchange, framing, size, not more)
        return True

    cdef int piece_sent(self, Exchange exchange, bint more) except -1:
        """Sends the gathered output, or ends the response."""
        if not more and not self.trailers_follow:
            # Before the completion, which lets the codec parse the next request.
            exchange.session.send_end(exchange.stream)
            if self.defer_completion and exchange.session.is_serial(exchange.stream):
                # The connection's next request waits until the call of the application has returned.
                self.completion_deferred = True
                # Now and not in complete(): the response ends with its last byte, not with the return of the call.
                exchange.session.response_queued(exchange.stream)
                return exchange.session.resume_soon(exchange.stream)
            return exchange.complete()
        # If true, only trailers may follow.
        self.body_complete = not more
        return exchange.session.output_queued(exchange.stream, self.flush_each_piece)

    cdef int send_head(self, Exchange exchange, Framing framing, long long length, bint whole) except -1:
        exchange.session.send_head(exchange.stream, self.head, framing, length, must_close(exchange, whole))
        # Sent once; it marks that there is nothing for send_head_now().
        self.head = None
        exchange.head_sent = True
        if framing == FRAMING_STREAM:
            # The access log distinguishes by it bytes of the body from those of the framing.
            exchange.head_end = exchange.session.position(exchange.stream)
        return 0

    cdef int fail_on_length(self, Exchange exchange, long long size) except -1:
        """Never a desynchronised connection: the application gets the error, the client a close."""
        declared = self.declared_length
        # Also if the head is not sent yet: fail_with_500() answers then, and the connection closes after it.
        self.close = True
        if exchange.head_sent:
            # A part of the body is on its way, so no other response can follow.
            exchange.abort_response()
        raise ValueError(f"response body has {size} bytes, its content-length is {declared}")


cdef bint is_open_stream(Exchange exchange) noexcept:
    return exchange.response is not None and exchange.response.is_event_stream and not exchange.stopped


cdef Response new_response():
    cdef Response response = <Response>Response.__new__(Response)
    # 0 would be a length, so __new__() alone does not suffice.
    response.declared_length = response.computed_length = -1
    return response


@cython.no_gc
cdef class Exchange:
    def __cinit__(self):
        # For tests: each exchange must be freed, although there is no garbage collection.
        count(EXCHANGES, 1)

    def __dealloc__(self):
        count(EXCHANGES, -1)

    # ---------------------------------------------------------------- from the session

    cdef int body_arrived(self, const char* data, Py_ssize_t size) except -1:
        # Also for a body that is discarded, whose deadline counts from the last byte.
        self.body_last = monotonic()
        self.body_received += size
        # RFC 9110 section 10.1.1: a 100 may be omitted once a part of the body has arrived.
        self.awaits_continue = False
        # Discarded: no application can ask for it any more.
        if self.response_complete:
            return 0
        if self.body is None:
            # A copy: `data` is in the receive buffer, which the next connection uses.
            self.body = PyBytes_FromStringAndSize(data, size)
        else:
            # Many small pieces cost amortised linear time (CVE-2025-69229).
            if type(self.body) is bytes:
                self.body = bytearray(self.body)
            (<bytearray>self.body).extend(PyBytes_FromStringAndSize(data, size))
        self.buffered += size
        # Acted on by run(), since the codec is on the stack.
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
        # First, so that calls of the woken application find no session, and raise or do nothing.
        self.session = None
        # In this order (gateway/asgi/gateway): a task that waits in send() continues before another one cancels it.
        self.notify_writable()
        self.notify_readable()
        return 0

    cdef int drain(self) except -1:
        cdef bint is_event_stream
        # The first phase of a stop waits for all responses.
        if not self.service.ends_streams:
            return 0
        # With a spread, those that are open end one after the other, by end_conversation().
        is_event_stream = is_open_stream(self) and not self.service.spreads_ends
        return self.stop_stream() if is_event_stream or not self.status and asks_for_events(self.request) else 0

    cdef int stop_stream(self) except -1:
        # The response then ends early without an error.
        self.stopped = True
        return self.end_events()

    cdef int end_events(self) except -1:
        """Ends an event stream before its application does: not an error, as clients discard an unfinished event."""
        cdef ExchangeHost session = self.session
        if session is None:
            return 0
        # A head that waits for its first piece is sent, so that the client gets an empty stream and no error. Not by
        # flush_deferred(), with which a subclass may end the exchange.
        if self.response is not None:
            self.response.send_head_now(self)
        # A declared length cannot be reached, so the client must see that the response is cut.
        if not self.head_sent or self.response.declared_length >= 0:
            return self.abort_response()
        if not self.response.no_body:
            session.send_end(self.stream)
        # Before the session is notified, which forgets this exchange.
        self.disconnect()
        return session.on_response_aborted(self.stream, False)

    cdef double stop_deadline(self) noexcept:
        return 0

    cdef Py_ssize_t untaken_bytes(self) noexcept:
        return self.buffered

    cdef bint awaits_body(self) noexcept:
        # Without further knowledge: the application may be waiting for the body.
        return True

    cdef bint is_busy(self) noexcept:
        return True

    cdef bint start(self) except -1:
        raise NotImplementedError

    cdef bint on_input(self) except -1:
        return self.notify_readable()

    cdef bint notify_readable(self) except -1:
        return False

    cdef int notify_writable(self) except -1:
        return 0

    cdef int flush_deferred(self) except -1:
        return self.response.send_head_now(self) if self.response is not None else 0

    # ---------------------------------------------------------------- from the gateway: request

    cdef InFlightKind in_flight_kind(self) noexcept:
        return COUNTED_REQUEST

    cdef int add_in_flight(self) except -1:
        # It passes 0 once. From then on it is negative, and nothing happens.
        self.service.requests_left -= 1
        if self.service.requests_left == 0:
            self.service.on_max_requests()
        return self.service.in_flight.add(
            &self.in_flight, self.in_flight_kind(), self.request.method, self.request.target
        )

    cdef int remove_in_flight(self) except -1:
        return self.service.in_flight.remove(&self.in_flight)

    cdef bytes take_body(self):
        cdef bytes body = detach_body(self)
        # Its answer to wants_read() has changed; or other streams may send as much as this one had (RFC 9113 section
        # 6.9.1), for which the end of the request is of no importance.
        if (not self.request_complete or self.call_host is not None) and self.session is not None:
            self.session.reconsider(self.stream)
        return body

    cdef bint accepts_body(self) noexcept:
        return not self.request_complete and self.buffered < HIGH_WATER

    cdef int want_body(self) except -1:
        """RFC 9110 section 10.1.1: 100 is sent when the application wants the body, not before."""
        # Sent once, and only to a client that waits for it.
        if not self.awaits_continue or self.session is None:
            return 0
        self.awaits_continue = False
        self.body_since = self.body_last = monotonic()
        # After a final response a 100 would be invalid.
        if not self.head_sent:
            self.session.send_informational(self.stream, self.session.encoder().encode(100, None, NULL, 0))
            self.session.output_queued(self.stream, True)
        # Sending may have shown that the client has gone.
        return self.session.reconsider(self.stream) if self.session is not None else 0

    # ---------------------------------------------------------------- from the gateway: the end of the response

    cdef int send_error(self, int status, str detail, list fields, bint close) except -1:
        """The server's own answer, in place of the application's; nothing of that has left."""
        if self.session is None:
            return 0
        # They are those of the application, which the client does not get.
        self.response_headers = None
        self.status = status
        # Before the response is complete: a body that is not read decides it too.
        close = close or must_close(self, True)
        self.bytes_sent = send_error_response(
            self.service, self.session, self.stream, status, detail, fields, self.request_id,
            self.request.method is HEAD, close,
        )
        self.head_sent = True
        # It is whole: head and body are in the output.
        return self.complete()

    cdef int complete(self) except -1:
        cdef ExchangeHost session = self.session
        # First: the calls below may lead back to this exchange.
        self.response_complete = True
        self.body = None
        self.buffered = 0
        # Taken away before the session continues with the next request.
        self.session = None
        if self.service.observer is not None and (self.response is None or not self.response.completion_deferred):
            # If completion was deferred, piece_sent() has done this.
            session.response_queued(self.stream)
        session.response_complete(self.stream)
        # An application that still listens learns that it is over.
        self.notify_readable()
        return 0

    cdef bint congested(self) noexcept:
        return self.session is not None and self.session.congested(self.stream)

    cdef int abort_response(self) except -1:
        cdef ExchangeHost session = self.session
        if session is None:
            return 0
        # For the log: the server and not the client has ended it.
        self.response_aborted = True
        # The application learns of it as if the client had disconnected.
        self.disconnect()
        return session.on_response_aborted(self.stream, True)

    cdef int fail_with_500(self) except -1:
        """The application ended without a whole response."""
        # RFC 9110 section 15: one final response. A 500 after a sent head would be read as its body.
        if self.head_sent:
            return self.abort_response()
        return self.send_error(500, None, [], False)

    cdef int report(self, str event, object error) except -1:
        """Logs a mistake of the application's."""
        if error is None:
            logger.error("%s: %s", event, request_line(self))
        elif has_regular_links(error):
            logger.error("%s: %s", event, request_line(self), exc_info=(type(error), error, error.__traceback__))
        else:
            # Handlers format exc_info, some for ever.
            logger.error("%s: %s\n%s", event, request_line(self), whole_traceback(error).rstrip())
        return 0

    # ---------------------------------------------------------------- the observer

    cdef int report_end(self, long long unsent) except -1:
        # On the stack, with borrowed references: the request and this exchange own the objects during the call.
        cdef RequestFacts facts
        cdef Request request = self.request
        # An own reference: an observer may run Python code, in which the application's thread replaces the list.
        cdef list response_headers = self.response_headers
        if self.service.observer is None:
            return 0
        facts.client = <PyObject*>self.connection.client
        facts.method = <PyObject*>request.method
        facts.target = <PyObject*>request.target
        facts.http_version = <PyObject*>request.http_version
        facts.headers = <PyObject*>request.headers
        facts.response_headers = <PyObject*>response_headers
        facts.request_id = <PyObject*>self.request_id
        facts.status = sent_status(self, unsent)
        facts.size = self.bytes_sent if unsent == 0 else body_taken(self, unsent)
        facts.started = self.started
        facts.duration = monotonic() - self.started
        facts.queue_time = self.queue_time
        return self.service.observer.on_request_end(&facts)


cdef bytes detach_body(Exchange exchange):
    cdef bytes body
    if exchange.body is None:
        return b""
    body = exchange.body if type(exchange.body) is bytes else bytes(exchange.body)
    # The server had stopped to read. Reading resumes in take_body(), since the buffer is empty then.
    if exchange.buffered >= HIGH_WATER:
        # Nothing was read since the last bytes arrived; the client does not account for that time.
        exchange.body_since += monotonic() - exchange.body_last
        exchange.body_last = monotonic()
    exchange.body = None
    exchange.buffered = 0
    return body


cdef str request_line(Exchange exchange):
    """The codec let nothing into a target but printable ASCII (CVE-2020-7694)."""
    return f"{exchange.request.method} {exchange.request.target.decode('ascii')}"


cdef int reject_over_limit(Exchange exchange, str limit) except -1:
    exchange.service.note_rejection(limit)
    # After a refused upgrade a proxy may still take the connection for a tunnel.
    return exchange.send_error(503, "the server is busy", [(b"retry-after", b"1")], exchange.request.upgrade)


cdef int note_call(Exchange exchange) noexcept:
    # 0 stands for a time that is not known.
    exchange.queue_time = max(monotonic() - exchange.queued_since, MIN_QUEUE_SECONDS)
    return 0


cdef object prepare_response(
    Exchange exchange, HeadEncoder encoder, int status, bytes reason, object headers, bint native, bint trailers,
    ResponseFacts* facts,
):
    """Checks the start of the application's response; changes nothing yet."""
    cdef bint logged = exchange.service.observer is not None and exchange.service.observer.wants_response_headers
    if logged:
        headers = [tuple(pair) for pair in headers]  # Some can be read only once.
    head = build_head(
        exchange.service, encoder, status, reason, headers, native, exchange.request_id, trailers,
        exchange.gateway.name, facts,
    )
    if logged:
        if native:
            # build_head() has checked that they can be encoded.
            headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        # A list of its own, for the log at the end of the request.
        exchange.response_headers = [(bytes(name).lower(), bytes(value)) for name, value in headers]
    return head


cdef int check_final(int status) except -1:
    # RFC 9110 section 15: three digits. 1xx are interim, and have calls of their own.
    if not 200 <= status <= 999:
        raise ValueError(f"response status {status} is not a final status (200 to 999)")
    return 0


cdef bint has_no_body(Request request, int status) noexcept:
    """RFC 9112 section 6.3: such a response has none, with any fields."""
    # By identity, since the codec interns HEAD.
    return status == 204 or status == 304 or request.method is HEAD


cdef bint accepts_trailers(Request request) except -1:
    """RFC 9110 section 6.5.1: a client that wants them sends TE: trailers; HTTP/1.0 has none."""
    if request.http_version == "1.0":
        return False
    for name, value in request.headers:
        if name == b"te" and has_token(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), b"trailers", 8):
            return True
    return False


cdef bint asks_for_events(Request request) except -1:
    """By the one value that EventSource gives the field (HTML, "Server-sent events")."""
    return request.method == "GET" and (b"accept", b"text/event-stream") in request.headers


cdef bint must_close(Exchange exchange, bint whole) noexcept:
    """Whether this response is to be the last of its connection; whole: it ends right now."""
    # RFC 9112 section 9.6: a server that will close announces it in the last response.
    if exchange.response is not None and exchange.response.close or exchange.service.closes_connections:
        return True
    if exchange.awaits_continue:
        # The client may send the body or not, which cannot be distinguished from a next request.
        return True
    # A client that has much of its request body left to send had better stop (RFC 9112 section 9.5).
    return (
        whole and not exchange.request_complete
        and exchange.request.content_length - exchange.body_received > MAX_DISCARDED_BYTES
    )


cdef int sent_status(Exchange exchange, long long unsent) noexcept:
    """The status that was sent, or nginx's 499 for a client that left before it had its response.

    A stream of unknown length keeps its status: an event stream always ends like that.
    """
    cdef Response response = exchange.response
    if exchange.status == 101:
        return 101
    # nginx's 499: the client has closed its side before the response, or never got one.
    if not exchange.head_sent or exchange.peer_finished_early:
        return 499
    # The server's own decision is not the client's fault.
    if exchange.response_aborted and not exchange.peer_finished:
        return exchange.status
    # Whole, unless the client has gone before the kernel took the last bytes.
    if exchange.response_complete or response is None or response.completion_deferred:
        # A tunnel (RFC 8441) has no complete response.
        return 499 if unsent and exchange.request.protocol is None else exchange.status
    # Cut by the client: bytes are missing, or not even the head was taken.
    if response.declared_length >= 0 and not response.no_body or exchange.end_position - unsent < exchange.head_end:
        return 499
    return exchange.status


cdef long long body_taken(Exchange exchange, long long unsent) noexcept:
    """Bytes of the body that the kernel has taken.

    In a stream the framing of chunks or WebSocket frames takes its share of the unsent bytes.
    """
    cdef long long framed = exchange.end_position - exchange.head_end if exchange.head_end else exchange.bytes_sent
    # All of the body is among the unsent bytes.
    if unsent >= framed:
        return 0
    if framed == exchange.bytes_sent:
        return exchange.bytes_sent - unsent
    # An estimate: the framing is distributed evenly over the body.
    return exchange.bytes_sent - <long long>(<double>unsent * exchange.bytes_sent / framed)
