"""The life of one HTTP/1 conversation, in the order in which it happens.

Rules: sink calls only note events, run() acts on them when no codec is on the stack; after an error nothing of
the conversation is read any more; the rest of a request whose answer is complete is discarded, for a limited time.

Compiled because every request passes here.
"""
cimport cython

from ianus.codec.base cimport Request
from ianus.codec.output cimport Output
from ianus.exchange.error_response cimport send_error_response
from ianus.exchange.base cimport Session, SessionFactory, Transport
from ianus.exchange.gateway cimport Gateway
from ianus.exchange.http cimport HIGH_WATER, Exchange
from ianus.exchange.service cimport Deadlines, Service
from ianus.runtime.clock cimport monotonic, monotonic_coarse

from ianus.exchange.request_id import request_id
from ianus.telemetry.logger import logger


# Idle connections that were used this recently get the chance of one more request when the server stops for good.
cdef double DRAIN_IDLE_SECONDS = 1.0
# Maximum time for which the rest of an upload is discarded (RFC 9112 section 9.6): without a byte, and in total.
# nginx has the same for lingering_timeout and lingering_time.
cdef double DISCARD_IDLE_SECONDS = 5.0
cdef double DISCARD_SECONDS = 30.0
# ... while the server stops
cdef double STOPPING_IDLE_SECONDS = 1.0
cdef double STOPPING_SECONDS = 1.5
# ... and those that were never used and are this new.
cdef double DRAIN_UNUSED_SECONDS = 0.25
# A head, or a body that the application waits for, of which nothing arrives for this long is then given up.
cdef double DRAIN_STALLED_SECONDS = 0.75
cdef double REJECTION_LOG_SECONDS = 1.0  # seconds between two log lines about refused requests


# No garbage collector for sessions, codecs and connections: lost() and release() untie them, and a collection
# would visit thousands of idle ones.
@cython.no_gc
cdef class HttpSession(Session):
    # ---------------------------------------------------------------- sink: the codec is on the stack

    cdef int on_request(self, int stream, Request request) except -1:
        cdef Exchange exchange = <Exchange>(<Gateway>self.service.gateway).open(request)
        exchange.session = self
        exchange.service = self.service
        exchange.request = request
        exchange.connection = self.transport.info
        exchange.stream = stream
        if self.service.access_log is not None:
            exchange.started = self.request_start()
        if self.service.request_id_header is not None:
            exchange.request_id = request_id(request.headers, self.service.request_id_header)
        if request.content_length != 0:
            exchange.awaits_continue = request.expect_continue
            exchange.body_since = exchange.body_last = monotonic()
        self.exchange = exchange
        self.unstarted = True
        return 0

    cdef int on_body(self, int stream, const char* data, Py_ssize_t size) except -1:
        return self.exchange.body_arrived(data, size)

    cdef int on_trailers(self, int stream, list fields) except -1:
        # ASGI and WSGI have no place for them; they are validated and dropped.
        return 0

    cdef int on_end(self, int stream) except -1:
        return self.exchange.request_ended()

    cdef Py_ssize_t on_tunnel(self, int stream, const char* data, Py_ssize_t size) except -1:
        # After the end of the tunnel's exchange, further input is discarded.
        return self.exchange.tunnel_received(data, size) if self.exchange is not None else size

    cdef int on_error(self, int status, str reason) except -1:
        self.error_status = status
        self.error_reason = reason
        return 0

    # ---------------------------------------------------------------- from the connection

    cdef Py_ssize_t received(self, const char* data, Py_ssize_t size) except -1:
        cdef bint began = self.codec.in_message()
        cdef Py_ssize_t used = self.codec.feed(data, size)
        if not began and self.exchange is None and self.codec.in_message():
            # The head is not complete: its deadline counts from here, its first byte.
            self.since = monotonic_coarse()
            self.head_begun = True
        return used

    cdef double request_start(self) noexcept:
        """The moment of the first byte of the request whose head has just been read."""
        if not self.head_begun:
            return monotonic()
        self.head_begun = False
        return self.since

    cdef int run(self) except -1:
        cdef Exchange exchange = self.exchange
        cdef str limit
        if exchange is not None:
            if self.unstarted:
                self.unstarted = False
                if self.error_status:
                    pass  # It is answered below; the application never sees it.
                elif self.service.draining and exchange.asks_for_events():
                    # A response would delay the stop as long as it lasts. An EventSource reconnects by itself, and
                    # browsers repeat a request that got no response on a used connection (RFC 9110 section 9.2.2).
                    exchange.abort_response()
                else:
                    limit = exchange.exceeded_limit()
                    if limit is not None:
                        self.reject_over_limit(limit)
                    else:
                        exchange.has_unread_input = False
                        self.service.requests_left -= 1
                        if self.service.requests_left == 0:
                            self.service.on_max_requests()
                        self.scheduled = exchange.start()
            elif exchange.response_complete:
                if exchange.request_complete:
                    self.end_exchange()
            elif exchange.has_unread_input:
                exchange.has_unread_input = False
                self.scheduled = exchange.notify_readable()
        if self.error_status and self.transport is not None:
            self.answer_protocol_error()
        return 0

    cdef int flush_deferred(self) except -1:
        cdef Exchange exchange = self.exchange
        self.scheduled = False
        return exchange.flush_deferred() if exchange is not None else 0

    cdef bint wants_input(self) noexcept:
        if self.exchange is not None and self.exchange.tunnel:
            return self.exchange.accepts_body()
        return not self.ending and self.codec.wants_input() and (self.exchange is not None or not self.congested())

    cdef bint congested(self) noexcept:
        """Whether no further request is read, since the client does not read its responses."""
        # Each file that waits is an open descriptor.
        return self.codec.out is not None and (self.codec.out.size >= HIGH_WATER or self.codec.out.files > 0)

    cdef bint wants_read(self) noexcept:
        if self.exchange is None:
            return not self.ending and not self.congested()
        return self.exchange.response_complete or self.exchange.accepts_body()

    cdef bint defers(self) noexcept:
        return self.scheduled

    cdef int peer_finished(self, bint behind_unread) except -1:
        cdef Exchange exchange = self.exchange
        if exchange is None or exchange.response_complete:
            return 0 if behind_unread else self.transport.finish()
        if exchange.tunnel and behind_unread:
            # The bytes before the end may be the tunnel's own closing.
            return 0
        if not exchange.head_sent:
            exchange.peer_finished_early = True
        if exchange.request_complete:
            # RFC 9112 section 9.6: a half-closed client still gets its answer, the application may stop early.
            exchange.peer_finished = True
            exchange.notify_readable()
        elif not behind_unread:
            # The body can never be completed: an error to the application, never the end of a body.
            self.ending = True
            exchange.peer_finished = True
            exchange.notify_readable()
        return 0

    cdef int writable(self) except -1:
        cdef Exchange exchange = self.exchange
        if self.first_unlogged is not None:
            self.output_taken()
        if exchange is not None:
            if exchange.response_complete:
                # Only now its client can have the whole answer.
                exchange.body_since = exchange.body_last = monotonic()
            exchange.notify_writable()
        return 0

    cdef int lost(self) except -1:
        cdef Exchange exchange = self.exchange
        cdef long long taken = self.transport.taken
        if exchange is not None:
            self.note_end(exchange)
        self.transport = None
        self.codec.sink = None
        self.ending = True
        if exchange is not None:
            self.exchange = None
            exchange.disconnect()
        while self.first_unlogged is not None:
            self.log_first(taken)
        return 0

    cdef int drain(self) except -1:
        """Completes requests in flight; an idle connection has the time that read_deadline() gives it."""
        # The local variable keeps it to the end of its own method: it may end with that.
        cdef Exchange exchange = self.exchange
        if exchange is not None:
            exchange.drain()
        return self.transport.reconsider() if self.transport is not None else 0

    cdef bint is_busy(self) noexcept:
        return self.exchange.is_busy() if self.exchange is not None else not self.ending

    # ---------------------------------------------------------------- deadlines

    cdef bint is_stopping(self) noexcept:
        """Whether the server stops and has no successor."""
        return self.service.draining and not self.service.handover

    cdef double read_deadline(self) except -1:
        cdef Deadlines deadlines = self.service.deadlines
        cdef Exchange exchange = self.exchange
        cdef double deadline = 0, drained, rate_deadline, stalled
        if exchange is None:
            if self.ending:
                return 0
            if self.codec.in_message():
                deadline = self.since + deadlines.request_header if deadlines.request_header else 0
                if self.is_stopping():
                    stalled = max(self.since, self.service.drain_started_at) + DRAIN_STALLED_SECONDS
                    if deadline == 0 or stalled < deadline:
                        deadline = stalled
                return deadline
            if deadlines.keep_alive:
                deadline = self.since + deadlines.keep_alive
            if self.service.draining:
                # Its client was promised keep-alive, so one more request is possible. If no other server listens,
                # only a request that is arriving right now counts: waiting for others would be useless.
                if self.service.handover:
                    drained = max(self.since, self.service.drain_started_at) + deadlines.drain_idle
                else:
                    drained = self.since + (DRAIN_IDLE_SECONDS if self.used else DRAIN_UNUSED_SECONDS)
                if deadline == 0 or drained < deadline:
                    deadline = drained
            return deadline
        if exchange.tunnel:
            return exchange.tunnel_deadline()
        if exchange.stopped:
            return exchange.stop_deadline()
        if exchange.request_complete or exchange.awaits_continue or exchange.peer_finished or not self.wants_read():
            return 0
        if exchange.response_complete:
            # A client that sends all of its body before it reads is waited for by the deadline of the output.
            if self.transport.blocked:
                return 0
            return self.discard_deadline(exchange.body_since, exchange.body_last, exchange.body_received)
        if deadlines.request_body:
            deadline = exchange.body_last + deadlines.request_body
        if deadlines.body_rate:
            rate_deadline = deadlines.rate_deadline(exchange.body_since, exchange.body_received)
            if deadline == 0 or rate_deadline < deadline:
                deadline = rate_deadline
        if self.is_stopping() and exchange.awaits_body():
            stalled = max(exchange.body_last, self.service.drain_started_at) + DRAIN_STALLED_SECONDS
            if deadline == 0 or stalled < deadline:
                deadline = stalled
        return deadline

    cdef int expired(self) except -1:
        cdef Exchange exchange = self.exchange
        if exchange is None:
            if self.is_stopping():
                return self.transport.close_without_lingering()
            if self.codec.in_message():
                return self.answer_and_close(408, "request head not complete within timeout-request-header")
            # Nothing was asked, so nothing is answered: a 408 could be taken for the answer to a next request.
            return self.transport.finish()
        if exchange.tunnel:
            return exchange.tunnel_expired()
        if exchange.stopped:
            return exchange.end_events()
        if exchange.response_complete:
            return self.transport.close()
        if self.is_stopping():
            return self.answer_and_close(408, "request body not complete while the server stops")
        return self.answer_and_close(408, "request body too slow for timeout-request-body or limit-body-rate")

    cdef double write_timeout(self) noexcept:
        return self.service.deadlines.write

    cdef double discard_deadline(self, double since, double last, long long received) noexcept:
        cdef Deadlines deadlines = self.service.deadlines
        cdef double idle = DISCARD_IDLE_SECONDS, deadline = since + DISCARD_SECONDS
        # An upload may outlast a reload. All other connections linger there only for requests that were on their way.
        if self.service.draining and not (self.service.handover and (self.input_cut or self.exchange is not None)):
            idle = STOPPING_IDLE_SECONDS
            deadline = min(deadline, max(since, self.service.drain_started_at) + STOPPING_SECONDS)
        if deadlines.request_body:
            idle = min(idle, deadlines.request_body)
        if deadlines.body_rate:
            deadline = min(deadline, deadlines.rate_deadline(since, received))
        return min(deadline, last + idle)

    cdef bint expects_input(self) noexcept:
        # A reload resets no connection, so a next request that is on its way must not cause a reset either.
        return self.input_cut or self.service.handover

    # ---------------------------------------------------------------- the access log

    cdef int response_queued(self, int stream) except -1:
        return self.log_when_taken(self.exchange)

    cdef int log_when_taken(self, Exchange exchange) except -1:
        """Logs a response without further output once the kernel has taken all of it, or never will."""
        self.note_end(exchange)
        return 0 if self.codec.out is not None else self.output_taken()

    cdef int note_end(self, Exchange exchange) except -1:
        cdef Output out = self.codec.out
        cdef Exchange last = self.first_unlogged
        if self.service.access_log is None or exchange.end_position:
            return 0
        exchange.end_position = self.transport.taken + (0 if out is None else out.size)
        if last is None:
            self.first_unlogged = exchange
            return 0
        while last.next_unlogged is not None:
            last = last.next_unlogged
        last.next_unlogged = exchange
        return 0

    cdef int output_taken(self) except -1:
        while self.first_unlogged is not None and self.first_unlogged.end_position <= self.transport.taken:
            self.log_first(self.first_unlogged.end_position)
        return 0

    cdef int log_first(self, long long taken) except -1:
        """Logs the first unlogged exchange, whose response the kernel has taken up to a position."""
        cdef Exchange exchange = self.first_unlogged
        self.first_unlogged = exchange.next_unlogged
        exchange.next_unlogged = None
        return exchange.log_access(max(<long long>0, exchange.end_position - taken))

    # ---------------------------------------------------------------- ends

    cdef int response_complete(self, int stream) except -1:
        """The exchange has queued its last byte."""
        if not self.exchange.request_complete and self.codec.persists():
            # The rest of the request body is discarded, within discard_deadline().
            self.codec.discard_body()
            self.exchange.body_received = 0
            self.exchange.body_since = self.exchange.body_last = monotonic()
        else:
            self.end_exchange()
            if self.ending:
                return 0
        return self.transport.resume_soon()

    cdef int end_exchange(self) except -1:
        """Both sides of the exchange are complete, or the connection ends."""
        cdef bint whole = self.exchange.request_complete
        self.exchange = None
        self.used = True
        if not whole or not self.codec.persists():
            self.ending = True
            self.input_cut = self.input_cut or not whole
            return self.transport.finish()
        self.since = monotonic_coarse()
        return self.codec.next_message()

    cdef int on_response_aborted(self, int stream, bint partial) except -1:
        self.log_when_taken(self.exchange)
        self.input_cut = not self.exchange.request_complete
        self.exchange = None
        self.ending = True
        if partial and self.codec.close_delimited():
            return self.transport.abort()
        return self.transport.finish()

    # ---------------------------------------------------------------- rejections

    cdef int answer_protocol_error(self) except -1:
        cdef int status = self.error_status
        self.error_status = 0
        return self.answer_and_close(status, self.error_reason)

    cdef int answer_and_close(self, int status, str reason) except -1:
        """Answers, if that is still possible, and closes."""
        cdef Exchange exchange = self.exchange
        cdef Request request = exchange.request if exchange is not None else self.codec.unfinished()
        self.log_rejection(status, reason, request)
        self.input_cut = True
        if self.ending and exchange is None:
            # The last answer is out already.
            return self.transport.finish()
        self.ending = True
        if exchange is None:
            self.answer_unread_request(request, status, reason)
        elif exchange.head_sent:
            return exchange.abort_response() if not exchange.response_complete else self.transport.finish()
        else:
            return exchange.send_error(status, reason, [], True)
        return self.transport.finish()

    cdef int answer_unread_request(self, Request request, int status, str reason) except -1:
        """Answers a request that was not read to its end, so that no application has it."""
        cdef Exchange exchange = Exchange.__new__(Exchange)
        exchange.service = self.service
        exchange.request = request if request is not None else no_request()
        exchange.connection = self.transport.info
        exchange.started = self.request_start()
        exchange.status = status
        exchange.bytes_sent = send_error_response(self.service, self.codec, 0, status, reason, [], None, False, True)
        exchange.head_sent = exchange.response_complete = True
        return self.log_when_taken(exchange)

    cdef int reject_over_limit(self, str limit) except -1:
        """Too many application calls: 503, and the connection lives on."""
        cdef Exchange exchange = self.exchange
        cdef double now = monotonic()
        self.service.rejected_requests += 1
        if now - self.service.rejection_logged_at >= REJECTION_LOG_SECONDS:
            logger.warning(
                "rejected %d request(s) with 503: %s reached", self.service.rejected_requests, limit
            )
            self.service.rejected_requests = 0
            self.service.rejection_logged_at = now
        # After a refused upgrade a proxy may still take the connection for a tunnel.
        return exchange.send_error(503, "the server is busy", [(b"retry-after", b"1")], exchange.request.upgrade)

    cdef int log_rejection(self, int status, str reason, Request request) except -1:
        client = self.transport.info.client
        name = f"{client[0]}:{client[1]}" if client else "unix socket"
        if request is None:
            logger.info("rejected request: status %d, client %s: %s", status, name, reason)
        else:
            logger.info(
                "rejected request: status %d, client %s: %s: %s %s",
                status, name, reason, request.method, request.target.decode("ascii"),
            )
        return 0


cdef Request no_request():
    """The request of a client that did not send a request line."""
    cdef Request request = Request.__new__(Request)
    request.headers = []
    return request


cdef class HttpSessionFactory(SessionFactory):
    """Makes the sessions of new connections."""

    def __init__(self, Service service not None):
        self.service = service

    cdef Session create(self, Transport transport):
        cdef HttpSession session = HttpSession.__new__(HttpSession)
        session.service = self.service
        session.transport = transport
        session.codec = self.service.codecs.create(self.service.pool)
        session.codec.sink = session
        session.since = monotonic()
        return session

    cdef int drain(self, bint handover) except -1:
        return self.service.drain(handover)

    cdef int end_streams(self) except -1:
        return self.service.end_streams()

    cdef int reset_in_child(self) except -1:
        return self.service.reset_in_child()
