"""The life of one HTTP/1 conversation, in the order in which it happens.

Rules: sink calls only note events, run() acts on them when no codec is on the stack; after an error nothing of
the conversation is read any more; the rest of a request whose answer is complete is discarded, for a limited time.

Compiled because every request passes here: 405 instructions for ASGI hello.
"""
cimport cython

from ianus.codec.base cimport Request, SerialCodec, SerialCodecFactory
from ianus.codec.output cimport Output
from ianus.exchange.error_response cimport send_error_response
from ianus.exchange.base cimport (
    SEND_AFTER_BATCH, SEND_AFTER_TASKS, SEND_NOW, SendTime, Session, Transport,
)
from ianus.exchange.connection_info cimport ConnectionInfo
from ianus.exchange.http cimport HIGH_WATER, Exchange, is_open_stream
from ianus.exchange.http_session cimport HttpSession, HttpSessionFactory
from ianus.exchange.service cimport Deadlines, Service
from ianus.exchange.tunnel cimport TunnelExchange
from ianus.runtime.clock cimport monotonic, monotonic_coarse


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


@cython.no_gc
cdef class Http1Session(HttpSession):
    # ---------------------------------------------------------------- sink: the codec is on the stack

    cdef int on_request(self, int stream, Request request) except -1:
        cdef double started = 0
        # The clock is read only if the time is of interest.
        if self.service.observer is not None or self.service.measures_queue_time:
            started = request_start(self)
        self.head_begun = False
        # A pipelined request waits for the response before it (RFC 9112 section 9.3.2), and not for this server.
        self.exchange = self.open_exchange(stream, request, started, self.since if self.used else 0)
        # run() calls the application: the codec is on the stack now.
        self.unstarted = True
        return 0

    cdef int on_body(self, int stream, const char* data, Py_ssize_t size) except -1:
        # Never None: a request is reported before its body, and after an abort nothing is fed any more.
        return self.exchange.body_arrived(data, size)

    cdef int on_end(self, int stream) except -1:
        return self.exchange.request_ended()

    cdef Py_ssize_t on_tunnel(self, int stream, const char* data, Py_ssize_t size) except -1:
        # After the end of the tunnel, further input is discarded.
        if self.exchange is None or not self.exchange.tunnel:
            return size
        return (<TunnelExchange>self.exchange).tunnel_received(data, size)

    cdef int on_error(self, int status, str reason) except -1:
        # Answered by run(): a sink call must not flush.
        self.error_status = <short>status
        self.error_reason = reason
        return 0

    # ---------------------------------------------------------------- from the connection

    cdef Py_ssize_t received(self, const char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t used = self.codec.feed(data, size)
        if self.exchange is None and not self.head_begun and (<SerialCodec>self.codec).in_message():
            # The head is not complete: its deadline counts from here, its first byte. Later pieces do not extend it.
            self.since = monotonic_coarse()
            self.head_begun = True
        return used

    cdef int run(self) except -1:
        cdef Exchange exchange = self.exchange
        cdef int status
        if exchange is not None:
            if self.unstarted:
                # Before the application is called, which may lead back here.
                self.unstarted = False
                # After a protocol error it is answered below; the application never sees it.
                if not self.error_status:
                    self.scheduled = self.start_exchange(exchange)
            elif exchange.response_complete:
                # Otherwise the rest of the request is discarded first, or it would be read as the next one.
                if exchange.request_complete:
                    self.end_exchange()
            elif exchange.has_unread_input:
                # Before the call: input that arrives in it must be noticed again.
                exchange.has_unread_input = False
                self.scheduled = exchange.on_input()
        # Last: it may close the connection.
        if self.error_status and self.transport is not None:
            status = self.error_status
            self.error_status = 0
            self.answer_and_close(status, self.error_reason)
        return 0

    cdef int flush_deferred(self) except -1:
        cdef Exchange exchange = self.exchange
        # The application had its turn, so its output is not waited for any longer.
        self.scheduled = False
        return exchange.flush_deferred() if exchange is not None else 0

    cdef bint wants_input(self) noexcept:
        if self.exchange is not None and self.exchange.tunnel:
            # In a tunnel the conversation decides.
            return self.exchange.accepts_body()
        # While a response is in progress the codec does not want the next request (RFC 9112 section 9.3.2).
        if self.ending or not (<SerialCodec>self.codec).wants_input():
            return False
        # The body of a request is read also if responses before it are not read.
        return self.exchange is not None or not self.output_is_full()

    cdef bint output_is_full(self) noexcept:
        """Whether no further request is read, since the client does not read its responses."""
        # Each file that waits is an open descriptor.
        cdef Output out = self.transport.out
        return out is not None and (out.size >= HIGH_WATER or out.files > 0)

    cdef bint wants_read(self) noexcept:
        if self.exchange is None:
            # The next request is waited for, unless the client does not read its responses.
            return not self.ending and (self.transport.out is None or not self.output_is_full())
        return self.exchange.response_complete or self.exchange.accepts_body()

    cdef SendTime send_time(self) noexcept:
        if self.scheduled:
            return SEND_AFTER_TASKS
        if self.exchange is None or self.exchange.response_complete or self.exchange.tunnel:
            return SEND_AFTER_BATCH
        return SEND_NOW

    cdef int on_peer_finished(self, bint behind_unread) except -1:
        cdef Exchange exchange = self.exchange
        if exchange is None or exchange.response_complete:
            # Between two requests: nothing is owed to the client.
            return 0 if behind_unread else self.transport.finish()
        if exchange.tunnel and behind_unread:
            # The bytes before the end may be the tunnel's own closing.
            return 0
        if not exchange.head_sent:
            # The log shows 499 then.
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

    cdef int on_writable(self) except -1:
        cdef Exchange exchange = self.exchange
        if self.first_unreported is not None:
            # A drained output has been taken by the kernel, so responses may be reported.
            self.on_output_taken()
        if exchange is not None:
            if exchange.response_complete:
                # Only now its client can have the whole answer.
                exchange.body_since = exchange.body_last = monotonic()
            # After the report: a waiting application may queue the next piece.
            exchange.notify_writable()
        return 0

    cdef int on_connection_lost(self) except -1:
        cdef Exchange exchange = self.exchange
        cdef long long taken = self.transport.taken
        if exchange is not None:
            # The end of its output is its position now, including the bytes that are not sent.
            self.note_end(exchange)
        self.transport = None
        # Ends the cycles: codec and session, codec and connection. There is no garbage collection.
        self.codec.sink = None
        self.codec.connection = None
        self.ending = True
        if exchange is not None:
            self.exchange = None
            # After `exchange` is None: the application may call back.
            exchange.disconnect()
        # With the number from before, since the connection returns its output to the pool.
        return self.report_all(taken)

    cdef int drain(self) except -1:
        """Completes requests in flight; an idle connection has the time that read_deadline() gives it."""
        # The local variable keeps it to the end of its own method: it may end with that.
        cdef Exchange exchange = self.exchange
        if exchange is not None:
            exchange.drain()
        # The stop has changed its deadline. The exchange may have ended the connection.
        return self.transport.reconsider() if self.transport is not None else 0

    cdef bint end_conversation(self, bint ends) except -1:
        # As in drain(): it may end with its own method.
        cdef Exchange exchange = self.exchange
        if exchange is None:
            return False
        if not ((<TunnelExchange>exchange).tunnel_is_open() if exchange.tunnel else is_open_stream(exchange)):
            return False
        if ends:
            exchange.stop_stream()
            if self.transport is not None:
                # Its application has a limited time to end it.
                self.transport.reconsider()
        return True

    cdef bint is_busy(self) noexcept:
        # Between two requests: until the deadline that read_deadline() gives to an idle connection.
        return self.exchange.is_busy() if self.exchange is not None else not self.ending

    # ---------------------------------------------------------------- deadlines

    cdef double read_deadline(self) except -1:
        cdef Deadlines deadlines = self.service.deadlines
        cdef Exchange exchange = self.exchange
        cdef double deadline = 0, drained, idle, stalled
        if exchange is None:
            # The connection closes already, within discard_deadline().
            if self.ending:
                return 0
            if (<SerialCodec>self.codec).in_message():
                # Absolute: bytes that arrive one by one do not extend it.
                deadline = self.since + deadlines.timeout_request_header if deadlines.timeout_request_header else 0
                if self.is_stopping():
                    # A head that is arriving at the stop gets a short time to be completed.
                    stalled = self.service.stalled_deadline(self.since)
                    if deadline == 0 or stalled < deadline:
                        deadline = stalled
                return deadline
            # Without keep-alive an idle connection is one that was not used yet.
            idle = deadlines.timeout_keep_alive or deadlines.timeout_request_header
            if idle:
                # Since the end of the last exchange, or the start of the connection.
                deadline = self.since + idle
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
            # Pings and the closing handshake are the conversation's.
            return (<TunnelExchange>exchange).tunnel_deadline()
        if exchange.stopped:
            return exchange.stop_deadline()
        # The client owes nothing, or the server does not read: then its time does not count.
        if exchange.request_complete or exchange.awaits_continue or exchange.peer_finished or not self.wants_read():
            return 0
        # The rest of the request is discarded.
        if exchange.response_complete:
            # A client that sends all of its body before it reads is waited for by the deadline of the output.
            if self.transport.blocked:
                return 0
            return self.discard_deadline(exchange.body_since, exchange.body_last, exchange.body_received)
        return self.service.body_deadline(
            exchange.body_since, exchange.body_last, exchange.body_received, exchange.awaits_body()
        )

    cdef int on_expired(self) except -1:
        cdef Exchange exchange = self.exchange
        if exchange is None:
            if self.is_stopping():
                # Idle, or a head that was given up: the server exits, and no request was accepted.
                return self.transport.close_without_lingering()
            if (<SerialCodec>self.codec).in_message():
                # RFC 9110 section 15.5.9
                return self.answer_and_close(408, "request head not complete within timeout-request-header")
            # Nothing was asked, so nothing is answered: a 408 could be taken for the answer to a next request.
            return self.transport.finish()
        if exchange.tunnel:
            return (<TunnelExchange>exchange).tunnel_expired()
        if exchange.stopped:
            return exchange.end_events()
        if exchange.response_complete:
            # The discarding has taken too long. The client had time to read the response.
            return self.transport.close()
        if self.is_stopping():
            return self.answer_and_close(408, "request body not complete while the server stops")
        return self.answer_and_close(408, "request body too slow for timeout-request-body or limit-body-rate")

    cdef double discard_deadline(self, double since, double last, long long received) noexcept:
        cdef Deadlines deadlines = self.service.deadlines
        cdef double idle = DISCARD_IDLE_SECONDS, deadline = since + DISCARD_SECONDS
        # An upload may outlast a reload. All other connections linger there only for requests that were on their way.
        if self.service.draining and not (self.service.handover and (self.input_cut or self.exchange is not None)):
            idle = STOPPING_IDLE_SECONDS
            deadline = min(deadline, max(since, self.service.drain_started_at) + STOPPING_SECONDS)
        # The operator's limits hold for discarded input too, if they are stricter.
        if deadlines.timeout_request_body:
            idle = min(idle, deadlines.timeout_request_body)
        if deadlines.limit_body_rate:
            deadline = min(deadline, deadlines.rate_deadline(since, received))
        return min(deadline, last + idle)

    cdef bint expects_input(self) noexcept:
        # A reload resets no connection, so a next request that is on its way must not cause a reset either.
        return self.input_cut or self.service.handover

    cdef bint may_pass_on(self, const char* head, Py_ssize_t size) noexcept:
        # With a limit of requests in flight, this worker rejects further requests at once.
        return (
            self.exchange is None and not self.ending and not (<SerialCodec>self.codec).in_message()
            and not self.service.draining and not self.service.in_flight.limit_concurrency
            and not self.factory.gateway.answers_itself(head, size)
        )

    # ---------------------------------------------------------------- ends

    cdef int cut_input(self, int stream) except -1:
        # The connection lingers at its end (RFC 9112 section 9.6).
        self.input_cut = True
        return 0

    cdef bint is_serial(self, int stream) noexcept:
        # The next request waits only if there can be one.
        return (<SerialCodec>self.codec).persists()

    cdef int response_queued(self, int stream) except -1:
        return self.report_when_taken(self.exchange)

    cdef int response_complete(self, int stream) except -1:
        """The exchange has queued its last byte."""
        cdef SerialCodec codec = <SerialCodec>self.codec
        if not self.exchange.request_complete and codec.persists():
            # The rest of the request body is discarded, within discard_deadline().
            # Reading it keeps the connection. If the rest is known to be large, must_close() has ended that.
            codec.discard_body()
            self.exchange.body_received = 0
            self.exchange.body_since = self.exchange.body_last = monotonic()
        else:
            # The codec reads the next request only after this.
            self.end_exchange()
            if self.ending:
                return 0
        return self.transport.resume_soon()

    cdef int end_exchange(self) except -1:
        """Both sides of the exchange are complete, or the connection ends."""
        cdef SerialCodec codec = <SerialCodec>self.codec
        cdef bint whole = self.exchange.request_complete
        # First: finish() may close the connection, and on_connection_lost() would take the exchange for unfinished.
        self.exchange = None
        self.used = True
        if not whole or not codec.persists():
            self.ending = True
            # Bytes of the request that were not read cause a lingering close (RFC 9112 section 9.6).
            self.input_cut = self.input_cut or not whole
            return self.transport.finish()
        self.since = monotonic_coarse()
        # Pipelined bytes are parsed by the connection, after this call.
        return codec.next_message()

    cdef int on_response_aborted(self, int stream, bint partial) except -1:
        # Before the exchange is forgotten
        self.report_when_taken(self.exchange)
        self.input_cut = not self.exchange.request_complete
        self.exchange = None
        self.ending = True
        if partial and (<SerialCodec>self.codec).close_delimited():
            # Without a length or chunks the client takes an orderly close for the end of the body.
            return self.transport.abort()
        return self.transport.finish()

    # ---------------------------------------------------------------- rejections

    cdef int answer_and_close(self, int status, str reason) except -1:
        """Answers, if that is still possible, and closes."""
        cdef Exchange exchange = self.exchange
        cdef Request request = exchange.request if exchange is not None else (<SerialCodec>self.codec).unfinished()
        cdef ConnectionInfo connection = exchange.connection if exchange is not None else self.reported(request)
        # Before the answer, since that may end the connection and its facts.
        self.log_rejection(status, reason, request, connection)
        self.input_cut = True
        if self.ending and exchange is None:
            # The last answer is out already.
            return self.transport.finish()
        self.ending = True
        if exchange is None:
            answer_unread_request(self, request, connection, status, reason)
        elif exchange.head_sent:
            # A response has started, so its status cannot be replaced.
            return exchange.abort_response() if not exchange.response_complete else self.transport.finish()
        else:
            # The application's response has not started. Its calls have no effect from here on.
            return exchange.send_error(status, reason, [], True)
        return self.transport.finish()


cdef int answer_unread_request(
    Http1Session session, Request request, ConnectionInfo connection, int status, str reason
) except -1:
    """Answers a request that was not read to its end, so that no application has it."""
    # Only for the observer: it has no gateway, and is never started.
    cdef Exchange exchange = Exchange.__new__(Exchange)
    exchange.service = session.service
    exchange.request = request if request is not None else no_request()
    exchange.connection = connection
    exchange.started = request_start(session)
    exchange.status = status
    # No request id: the field that might have it is perhaps among those not read.
    exchange.bytes_sent = send_error_response(session.service, session, 0, status, reason, [], None, False, True)
    exchange.head_sent = exchange.response_complete = True
    return session.report_when_taken(exchange)


cdef double request_start(Http1Session session) noexcept:
    """The moment of the first byte of the request whose head has just been read."""
    if not session.head_begun:
        return monotonic()
    # The coarse time is precise enough for a log.
    return session.since


cdef Request no_request():
    """The request of a client that did not send a request line."""
    cdef Request request = Request.__new__(Request)
    request.headers = []
    return request


cdef class Http1SessionFactory(HttpSessionFactory):
    """Makes the sessions of new connections. codecs: makes their codecs."""

    def __init__(self, Service service not None, SerialCodecFactory codecs not None):
        HttpSessionFactory.__init__(self, service, codecs.encoder)
        self.codecs = codecs

    cdef Session create(self, Transport transport):
        cdef Http1Session session = Http1Session.__new__(Http1Session)
        self.set_up(session, transport, self.codecs.create(transport))
        # A new connection is idle from its start.
        session.since = monotonic()
        return session
