"""WebSockets of WSGI applications.

Libraries for these take the socket of the connection from the environ, as gunicorn has it there. They read the
handshake from the environ, write the response head to the socket, and exchange frames on it.

Rules:
- The first bytes that the application writes to the socket are a response head, which is checked like any other. With a
  101 the connection becomes a tunnel. From then on the application's other output is dropped.
- An application that does not use the socket answers as any WSGI application. Its response ends the connection:
  otherwise a proxy that takes the connection for a tunnel would forward further requests unchecked.
- Each side's end ends the other, after the bytes before it. A side that does not read stops the other one.
- The call holds its thread. So the number of WebSockets is limited (exchange/in_flight_counter).
- At a stop the application receives a close frame as if the client had sent it, between two frames of the client. The
  application's library then answers it, which is the close frame that the client gets.

Compiled because it is an exchange. It is made for handshakes only.
"""
cimport cython
from libc.string cimport memchr

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from ianus.codec.base cimport FRAMING_TUNNEL, Request
from ianus.codec.output cimport output_of
from ianus.codec.websocket.boundary cimport FrameBoundary, client_close_frame
from ianus.codec.websocket.codec cimport GOING_AWAY, SERVICE_RESTART
from ianus.exchange.base cimport Transport
from ianus.exchange.http cimport HIGH_WATER, check_final, prepare_response, reject_over_limit, request_line
from ianus.exchange.in_flight_counter cimport COUNTED_THREAD_WEBSOCKET, InFlightKind
from ianus.exchange.response_head cimport ResponseFacts
from ianus.exchange.service cimport Service
from ianus.gateway.wsgi.call cimport WsgiCall
from ianus.gateway.wsgi.exchange cimport WsgiExchange
from ianus.gateway.wsgi.gateway cimport WsgiGateway
from ianus.gateway.wsgi.outbox cimport Outbox
from ianus.gateway.wsgi.relay cimport RelaySessionFactory
from ianus.runtime.clock cimport monotonic

from ianus.codec.websocket.handshake import HandshakeError, accept_value, asks_for_websocket
from ianus.gateway.handshake_hints import warn_of_proxy
from ianus.gateway.wsgi.connection_socket import parse_head, socket_pair
from ianus.telemetry.logger import logger


# After the return of a call that has not closed its socket, in which its output is still read.
cdef double LAST_OUTPUT_SECONDS = 0.5

cdef enum:
    MAX_HEAD_BYTES = 65536      # of a response head that the application writes to its socket


@cython.no_gc
cdef class WsgiWebSocket(WsgiExchange):
    """A request for a WebSocket, and the relay to its application."""

    # ---------------------------------------------------------------- the request

    cdef InFlightKind in_flight_kind(self) noexcept:
        return COUNTED_THREAD_WEBSOCKET

    cdef bint start(self) except -1:
        cdef str limit = self.service.in_flight.exceeded_limit(COUNTED_THREAD_WEBSOCKET)
        # The socket of the application would wait for its body as well.
        self.pace_known = True
        if limit is not None:
            reject_over_limit(self, limit)
            return False
        return WsgiExchange.start(self)

    cdef int submit(self) except -1:
        return WsgiExchange.submit(self) if self.open_relay() else 0

    cdef bint open_relay(self) except -1:
        """Connects the application's socket. Answers the request and returns False if that fails."""
        try:
            own, self.application_socket = socket_pair()
            # The reactor owns the descriptor of `own` from here on.
            (<WsgiGateway>self.gateway).add_connection(own, RelaySessionFactory(self))
        except OSError as error:
            logger.error("rejected a WebSocket with 503, a socket cannot be opened: %s: %s", request_line(self), error)
        if self.relay is not None:
            return True
        self.application_socket = None
        self.send_error(503, "the server is busy", [(b"retry-after", b"5")], True)
        return False

    # ---------------------------------------------------------------- from the application's socket

    cdef Py_ssize_t relay_received(self, const char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t end = 0
        if self.state == RELAYING:
            self.session.send_data(self.stream, data, size)
            self.bytes_sent += size
            while end < size:
                end += self.sent_frames.feed(data + end, size - end)
        elif self.state == UNUSED:
            end = find_head_end(data, size)
            if end < 0 and size < MAX_HEAD_BYTES:
                # The bytes stay with the relay, and are passed again with the next ones.
                return 0
            self.state = HEAD_RECEIVED
            self.answered_on_socket = True
            self.head = b"" if end < 0 else PyBytes_FromStringAndSize(data, end)
            return size if end < 0 else end
        elif self.state == ANSWERING:
            self.piece = PyBytes_FromStringAndSize(data, size)
        return size

    cdef int run_relay(self) except -1:
        cdef bytes piece = self.piece
        if self.state == HEAD_RECEIVED:
            return self.answer()
        if self.state == RELAYING:
            self.session.output_queued(self.stream, True)
            return self.end_after_call() if self.outbox is None else 0
        self.piece = None
        return self.send_answer(piece, True) if piece is not None else 0

    cdef bint accepts_relayed(self) noexcept:
        # A head is always read, since the kind of the response depends on it.
        return self.state == UNUSED or self.state != HEAD_RECEIVED and self.piece is None and not self.congested()

    cdef int answer(self) except -1:
        """Answers the client with the head that the application has written."""
        # The application may not answer in another way any more.
        self.state = ENDED
        if self.session is None:
            return 0
        try:
            status, reason, fields = parse_head(self.head)
            if status == 101:
                return self.open_tunnel(fields)
            return self.start_answer(status, reason, fields)
        except ValueError as error:
            self.report(f"invalid response head on the socket of a WebSocket ({error})", None)
        self.disconnect_application()
        return self.fail_with_500()

    cdef int open_tunnel(self, list fields) except -1:
        cdef ResponseFacts facts
        head = prepare_response(self, self.session.encoder(), 101, None, fields, False, False, &facts)
        if facts.content_length >= 0:
            raise ValueError("a 101 has no content-length")
        self.status = 101
        self.session.send_head(self.stream, head, FRAMING_TUNNEL, 0, False)
        self.head_end = self.session.position(self.stream)
        self.head_sent = True
        # The state of an HTTP response is not needed while the WebSocket is open.
        self.response = None
        self.tunnel = True
        self.frames = FrameBoundary()
        self.sent_frames = FrameBoundary()
        self.state = RELAYING
        # Its call lasts as long as the client stays, which is not worth a report.
        if self.outbox is not None:
            self.outbox.is_conversation = True
        # Bytes that the client has sent together with the handshake follow.
        self.session.resume_soon(self.stream)
        self.session.output_queued(self.stream, True)
        return self.drain() if self.service.draining and self.tunnel else 0

    cdef int start_answer(self, int status, bytes reason, list fields) except -1:
        """Starts a response that refuses the WebSocket, and whose body the application writes to the socket."""
        cdef ResponseFacts facts
        check_final(status)
        head = prepare_response(self, self.session.encoder(), status, reason, fields, False, False, &facts)
        facts.close = True
        self.response.start(self, status, head, &facts)
        self.state = ANSWERING
        return 0

    cdef int send_answer(self, bytes piece, bint more) except -1:
        if self.session is None:
            return 0
        try:
            return self.response.send_body(self, piece, more)
        except ValueError as error:
            self.report(f"invalid response on the socket of a WebSocket ({error})", None)
            # Otherwise the connection was ended because of the error.
            if self.session is not None:
                self.fail_with_500()
        return self.disconnect_application()

    cdef int on_relay_writable(self) except -1:
        if not self.input_paused:
            return 0
        self.input_paused = False
        return self.session.resume_soon(self.stream) if self.session is not None else 0

    cdef int on_relay_finished(self) except -1:
        if self.state == RELAYING:
            self.end_tunnel()
        elif self.state == ANSWERING:
            self.send_answer(b"", False)
        # Closed without a whole head: the call answers, or fails.
        return self.disconnect_application()

    cdef int on_relay_lost(self) except -1:
        self.relay = None
        if self.service.forked or self.state == ENDED:
            return 0
        return self.on_relay_finished()

    # ---------------------------------------------------------------- to the application's socket

    cdef bint accepts_body(self) noexcept:
        if not self.tunnel:
            return WsgiExchange.accepts_body(self)
        return not self.input_paused

    cdef Py_ssize_t tunnel_received(self, const char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t used = 0
        if self.input_ended or self.relay is None:
            return size
        while used < size and not self.input_ended:
            used += self.frames.feed(data + used, size - used)
            # The close frame of a stop follows the frame in which the client was.
            self.input_ended = self.close_code != 0 and self.frames.is_between_frames()
        output_of(self.relay).write(data, used)
        self.input_paused = self.relay.out.size >= HIGH_WATER
        if self.input_ended:
            write_close(self)
        # Sent by notify_readable(), when the codec has returned.
        self.has_unread_input = True
        return size

    cdef bint notify_readable(self) except -1:
        if not self.tunnel:
            return WsgiExchange.notify_readable(self)
        if self.relay is not None:
            # It may show that the application has closed.
            self.relay.flush()
        if self.tunnel and self.peer_finished:
            # RFC 6455 section 5.5.1: the client may still wait for the answer to its close frame.
            if not self.frames.close_seen:
                self.end_tunnel()
                self.disconnect_application()
            elif self.close_deadline == 0:
                self.close_deadline = monotonic() + self.service.websocket_rules.ws_close_timeout
        return False

    cdef int notify_writable(self) except -1:
        if self.relay is not None and not self.service.forked:
            # The application was perhaps not read while the client did not read.
            self.relay.reconsider()
        return WsgiExchange.notify_writable(self)

    # ---------------------------------------------------------------- from the call

    cdef int send_output(
        self, Outbox outbox, list hints, object head, long long length, object pieces, bint end, bint failed,
        bint returned
    ) except -1:
        if self.state == UNUSED and (head is not None or failed or returned):
            if self.relay is not None:
                # The application has perhaps written to the socket just before.
                self.relay.read_available()
            if self.state == UNUSED:
                self.state = ENDED
                self.disconnect_application()
                if failed and (<WsgiCall>outbox).ended_silently:
                    self.report("application ended without answering a WebSocket handshake", None)
        if self.answered_on_socket:
            if returned:
                self.end_call()
            else:
                self.notify_writable()
            return 0
        # In place of the application's own decision.
        outbox.facts.close = True
        return WsgiExchange.send_output(self, outbox, hints, head, length, pieces, end, failed, returned)

    cdef int end_call(self) except -1:
        # Closed with the application's last reference.
        self.application_socket = None
        WsgiExchange.end_call(self)
        if self.relay is None or self.service.forked:
            return 0
        if self.state == RELAYING:
            # Other threads of the application that read from the socket find its end. They may still write.
            self.input_ended = True
            self.input_paused = False
            self.relay.end_output()
        if self.state != ENDED and self.relay is not None:
            self.relay.read_available()
        return self.end_after_call()

    cdef int end_after_call(self) except -1:
        """Ends the conversation after the return of the call: after its close frame, or at the latest soon."""
        if self.state == RELAYING and not self.sent_frames.close_seen:
            # A thread of the library may be about to answer the client's close frame.
            self.close_deadline = monotonic() + LAST_OUTPUT_SECONDS
            return self.session.reconsider(self.stream)
        return self.on_relay_finished()

    # ---------------------------------------------------------------- the end

    cdef int end_tunnel(self) except -1:
        """Ends the client's side, after the output."""
        self.state = ENDED
        # From here on the session discards the input of the tunnel.
        self.tunnel = False
        if self.session is None:
            return 0
        # The client may still be sending, so the connection lingers at its end.
        self.session.cut_input(self.stream)
        return self.complete()

    cdef int disconnect_application(self) except -1:
        """Ends the application's input, after the bytes that wait for it."""
        cdef Transport relay = self.relay
        if relay is None or self.service.forked:
            return 0
        # The call has returned, so nothing reads any more.
        return relay.close() if self.outbox is None or self.outbox.returned else relay.finish()

    cdef int disconnect(self) except -1:
        cdef bint connected = self.state != ENDED
        self.state = ENDED
        self.tunnel = False
        # First: an error of the application's socket is expected then.
        WsgiExchange.disconnect(self)
        return self.disconnect_application() if connected else 0

    # ---------------------------------------------------------------- the stop

    cdef int drain(self) except -1:
        if not self.tunnel:
            return WsgiExchange.drain(self)
        # After a handover the new server accepts connections, so there is time for messages that are on their way.
        # With a spread, each has its time to end.
        return 0 if self.service.handover or self.service.spreads_ends else self.close_for_stop()

    cdef bint tunnel_is_open(self) noexcept:
        return not self.close_code

    cdef int stop_stream(self) except -1:
        return self.close_for_stop() if self.tunnel else WsgiExchange.stop_stream(self)

    cdef double tunnel_deadline(self) noexcept:
        return self.close_deadline if self.close_deadline else stop_close_time(self)

    cdef int tunnel_expired(self) except -1:
        if self.close_deadline == 0:
            return self.close_for_stop()
        if self.outbox is None and self.congested():
            # The client has to read the earlier output first.
            return self.end_after_call()
        self.end_tunnel()
        return self.disconnect_application()

    cdef int close_for_stop(self) except -1:
        if self.close_code:
            return 0
        # 1012 lets clients reconnect at once, to the new server.
        self.close_code = SERVICE_RESTART if self.service.handover else GOING_AWAY
        self.close_deadline = monotonic() + self.service.websocket_rules.ws_close_timeout
        # Otherwise it follows the rest of the client's frame.
        if self.frames.is_between_frames() and self.relay is not None and not self.input_ended:
            self.input_ended = True
            write_close(self)
            self.relay.flush()
        return self.session.reconsider(self.stream) if self.session is not None else 0


cdef int write_close(WsgiWebSocket exchange) except -1:
    """Writes the close frame of a stop to the application."""
    cdef bytes frame = client_close_frame(exchange.close_code)
    return output_of(exchange.relay).write(PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame))


cdef double stop_close_time(WsgiWebSocket exchange) noexcept:
    """The time of close_for_stop() after a handover, 0 = none."""
    cdef Service service = exchange.service
    # Without a successor drain() has closed it at once.
    if not service.handover or service.spreads_ends or exchange.close_code:
        return 0
    return service.drain_started_at + service.deadlines.drain_idle


cdef Py_ssize_t find_head_end(const char* data, Py_ssize_t size) noexcept:
    """The position after the empty line that ends a head, -1 if there is none."""
    cdef Py_ssize_t at = 0
    cdef const char* found
    while at < size:
        found = <const char*>memchr(data + at, c'\n', size - at)
        if found == NULL:
            return -1
        at = found - data + 1
        if at >= 4 and data[at - 2] == c'\r' and data[at - 3] == c'\n' and data[at - 4] == c'\r':
            return at
    return -1


def open_websocket(Request request not None):
    """Returns the exchange of a request that may become a WebSocket, or None for another request."""
    if not asks_for_websocket(request):
        warn_of_proxy(request)
        return None
    try:
        # A handshake that is not valid is a request like any other (RFC 9110 section 7.8).
        accept_value(request)
    except HandshakeError:
        return None
    return WsgiWebSocket.__new__(WsgiWebSocket)
