"""ASGI's WebSocket messages on top of the conversation in exchange/websocket.

Rules: the handshake is answered when the application has accepted it, never before. The application may give an HTTP
response instead. If it ends without websocket.close, the server closes: 1000 after a return, 1011 after an exception.

Compiled because every message passes here: 335 instructions for an echo of 128 bytes.
"""
cimport cython

from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Copy, PyDict_GetItemWithError
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_GET_LENGTH

from ianus.codec.base cimport FRAMING_TUNNEL, Request
from ianus.codec.websocket.codec cimport GOING_AWAY, INTERNAL_ERROR, LOST, NORMAL, SERVICE_RESTART
from ianus.codec.websocket.deflate cimport Deflate
from ianus.exchange.in_flight_counter cimport COUNTED_WEBSOCKET, InFlightKind
from ianus.exchange.http cimport new_response, prepare_response
from ianus.exchange.response_head cimport ResponseFacts
from ianus.exchange.websocket cimport open_conversation
from ianus.gateway.asgi.exchange cimport AsgiExchange, body_of
from ianus.gateway.asgi.gateway cimport AsgiGateway
from ianus.gateway.asgi.messages cimport SentMessage, read_sent_message, required, unexpected
from ianus.gateway.asgi.scope cimport QUEUE_TIME, TLS, Scopes
from ianus.runtime.clock cimport monotonic

from ianus.codec.websocket.handshake import (
    HandshakeError, accept_value, asks_for_websocket, is_downgraded, negotiate, subprotocols,
)
from ianus.exchange.disconnect import ClientDisconnected
from ianus.gateway.handshake_hints import warn_of_proxy


cdef str SPEC_VERSION = "2.5"

# Messages without their content: a copy of two entries costs less than making them.
cdef dict RECEIVED_TEXT = {"type": "websocket.receive", "text": None}
cdef dict RECEIVED_BYTES = {"type": "websocket.receive", "bytes": None}


@cython.no_gc
cdef class AsgiWebSocket(AsgiExchange):
    """One WebSocket in its application."""

    cdef bint start(self) except -1:
        # A response other than 101 closes the connection. Otherwise a proxy that takes the connection for a tunnel
        # would forward further requests unchecked.
        self.response = new_response()
        self.response.close = True
        # Answered by the server: no application can answer a handshake that cannot succeed.
        if is_downgraded(self.request):
            warn_of_proxy(self.request)
            self.send_error(400, "WebSocket handshake over HTTP/1.0; the proxy has to use HTTP/1.1", [], True)
            return False
        try:
            # RFC 6455 section 4.2.1: all checks of the handshake are in codec/websocket/handshake.
            self.accept_value = accept_value(self.request)
            self.offered = subprotocols(self.request)
            if self.service.websocket_rules.ws_per_message_deflate:
                self.negotiated = negotiate(self.request, self.service.websocket_rules.ws_deflate_level)
        except HandshakeError as error:
            # The fields name the version or the protocol that would be accepted.
            self.send_error(error.status, error.detail, error.fields, True)
            return False
        return AsgiExchange.start(self)

    cdef InFlightKind in_flight_kind(self) noexcept:
        return COUNTED_WEBSOCKET

    cdef dict scope(self):
        cdef Scopes scopes = (<AsgiGateway>self.gateway).scopes
        cdef dict scope = scopes.make(self, scopes.acquire())
        # A copy of the template, which this call may change.
        scope["type"] = "websocket"
        scope["scheme"] = self.connection.websocket_scheme()
        scope["asgi"]["spec_version"] = SPEC_VERSION
        scope["subprotocols"] = self.offered
        extensions = {"websocket.http.response": {}}
        for name in (QUEUE_TIME, TLS):
            if name in scope["extensions"]:
                extensions[name] = scope["extensions"][name]
        scope["extensions"] = extensions
        # ASGI WebSocket, "Connection scope", has none.
        del scope["method"]
        return scope

    # ---------------------------------------------------------------- receive

    cdef dict next_message(self):
        cdef object message
        cdef dict received
        if not self.connect_received:
            self.connect_received = True
            return {"type": "websocket.connect"}
        if self.conversation is not None:
            message = self.conversation.take_message()
            if message is not None:
                if type(message) is str:
                    received = PyDict_Copy(RECEIVED_TEXT)
                    received["text"] = message
                else:
                    received = PyDict_Copy(RECEIVED_BYTES)
                    received["bytes"] = message
                return received
            # Only after the queue is empty: messages before the close are delivered.
            if self.conversation.code:
                self.disconnect_received = True
                return {
                    "type": "websocket.disconnect", "code": self.conversation.code, "reason": self.conversation.reason
                }
        # The handshake was answered otherwise, or its client has gone.
        elif self.state == CLOSED or self.disconnected or self.peer_finished:
            self.disconnect_received = True
            return {"type": "websocket.disconnect", "code": LOST, "reason": ""}
        return None

    cdef dict stop_message(self):
        # drain() notifies the application, by a close.
        return None

    cdef bint is_busy(self) noexcept:
        # After a close was sent, only the peer's close frame is waited for, within its own deadline.
        return not self.tunnel or not self.conversation.code

    cdef bint notify_readable(self) except -1:
        if self.tunnel:
            # FIN without a close frame: RFC 6455 section 7.1.5 has the code 1006 for it.
            if self.peer_finished and not self.conversation.over:
                self.conversation.mark_lost(LOST, "")
            if self.conversation.over:
                self.finish_tunnel()
        return self.wake_readers()

    cdef int notify_writable(self) except -1:
        if self.conversation is not None:
            # It was perhaps paused because the peer did not read its pongs.
            self.conversation.resume_reading()
        return self.wake_writers()

    # ---------------------------------------------------------------- send

    cdef int handle_message(self, object message) except -1:
        cdef PyObject* kind
        cdef SentMessage sent
        if type(message) is not dict:
            message = dict(message)
        elif self.state == OPEN and read_sent_message(<dict>message, &sent) and send_usual(self, &sent):
            return 0
        kind = PyDict_GetItemWithError(<dict>message, "type")
        if kind == NULL or not isinstance(<object>kind, str):
            raise ValueError("ASGI message has no 'type' string")
        # Comparing keys may run code that changes the message.
        name = <object>kind
        # The usual state first
        if self.state == OPEN:
            if name == "websocket.send":
                return self.send_websocket_message(<dict>message)
            if name == "websocket.close":
                return self.close_websocket(<dict>message)
            raise unexpected(name, "websocket.send' or 'websocket.close")
        if self.state == CONNECTING:
            if name == "websocket.accept":
                return self.accept_connection(<dict>message)
            if name == "websocket.close":
                # ASGI WebSocket, "Close": before the handshake is accepted, it is answered with 403.
                self.state = CLOSED
                return self.send_error(403, None, [], True)
            if name == "websocket.http.response.start":
                return self.start_denial(<dict>message)
            raise unexpected(name, "websocket.accept', 'websocket.close' or 'websocket.http.response.start")
        if self.state == DENYING:
            if name != "websocket.http.response.body":
                raise unexpected(name, "websocket.http.response.body")
            body = body_of((<dict>message).get("body", b""))
            self.produced_bytes += PyBytes_GET_SIZE(body)
            self.response.send_body(self, <bytes>body, bool((<dict>message).get("more_body")))
            # The last piece of the denial has been queued.
            if self.response_complete:
                self.state = CLOSED
            return 0
        if name == "websocket.close":
            # The connection is closed already.
            return 0
        # Also after the peer's close, which the application may not know yet.
        if self.client_left() or self.conversation is not None and name == "websocket.send":
            # ASGI WebSocket, "Send": an OSError once the connection is closed.
            raise ClientDisconnected
        raise RuntimeError(f"unexpected ASGI message {name!r} after 'websocket.close' or a complete response")

    # Spec version 2.5: send() raises once the client has left.

    cdef object discard(self, object message):
        self.handle_message(message)
        return None

    cdef int on_client_lost(self) except -1:
        raise ClientDisconnected

    cdef int accept_connection(self, dict message) except -1:
        """RFC 6455 section 4.2.2."""
        cdef ResponseFacts facts
        cdef list fields
        # First everything that may run code of the application; the state is checked after it.
        given = [(bytes(name), bytes(value)) for name, value in message.get("headers") or ()]
        subprotocol = message.get("subprotocol")
        if self.client_left():
            raise ClientDisconnected
        if self.state != CONNECTING:
            raise unexpected("websocket.accept", "websocket.send' or 'websocket.close")
        # RFC 6455 section 4.2.2: the proof that the server understands the handshake
        fields = [(b"sec-websocket-accept", self.accept_value)] if self.accept_value else []
        if subprotocol is not None:
            # RFC 6455 section 4.2.2: the server selects one of the client's, or none.
            if subprotocol not in self.offered:
                raise ValueError(f"subprotocol {subprotocol!r} is not among those that the client offers")
            fields.append((b"sec-websocket-protocol", (<str?>subprotocol).encode("ascii")))
        if self.negotiated is not None:
            fields.append((b"sec-websocket-extensions", self.negotiated[0]))
        for name, value in given:
            # They are negotiated: others in the head would contradict the frames that follow.
            if name.lower().startswith(b"sec-websocket-"):
                raise ValueError(f"header {name!r} is the server's to send")
            fields.append((name, value))
        head = prepare_response(self, self.session.encoder(), 101, None, fields, False, False, &facts)
        if facts.content_length >= 0:
            raise ValueError("a 101 has no content-length (RFC 9110 section 8.6)")
        # After all checks: an error above lets the application answer otherwise.
        # RFC 8441 section 5
        self.status = 101 if self.request.protocol is None else 200
        self.session.send_head(self.stream, head, FRAMING_TUNNEL, 0, False)
        self.head_end = self.session.position(self.stream)
        self.head_sent = True
        # The state of an HTTP response is not needed while the WebSocket is open.
        self.response = None
        self.tunnel = True
        self.state = OPEN
        # Bytes that arrived together with the handshake are still in the connection, and are fed after this.
        self.conversation = open_conversation(
            self, self.service.websocket_rules, None if self.negotiated is None else <Deflate?>self.negotiated[1]
        )
        # Handles input that has arrived already, and starts the deadlines.
        self.session.resume_soon(self.stream)
        return self.drain() if self.service.draining else 0

    cdef int start_denial(self, dict message) except -1:
        """The extension websocket.http.response: an HTTP response in place of the handshake's."""
        if self.client_left():
            raise ClientDisconnected
        # The state changes only if this does not raise.
        self.start_response(required(message, "status"), message.get("headers", ()), False)
        self.response.close = True   # regardless of the headers of the response
        self.state = DENYING
        return 0

    cdef int send_websocket_message(self, dict message) except -1:
        cdef object text = value_of(message, "text")
        cdef object data = value_of(message, "bytes")
        cdef object content
        if (text is None) == (data is None):
            raise ValueError("'websocket.send' has either 'text' or 'bytes'")
        if text is not None:
            content = text
            if type(content) is not str:
                if not isinstance(content, str):
                    raise TypeError(f"'text' is a str, not {type(content).__name__}")
                # A plain str: a subclass may override the methods that encode it.
                content = str.__str__(content)
        else:
            content = data
            if type(content) is not bytes:
                if not isinstance(content, (bytes, bytearray, memoryview)):
                    raise TypeError(f"'bytes' is bytes, not {type(content).__name__}")
                content = bytes(content)
        # After the conversions, which may run code of the application.
        if self.disconnected or self.conversation.code:
            raise ClientDisconnected
        self.produced_bytes += len(content)
        return self.conversation.send(content)

    cdef int close_websocket(self, dict message) except -1:
        # None stands for the default, as some frameworks send it.
        code = message.get("code")
        reason = message.get("reason")
        self.close_open(NORMAL if code is None else code, "" if reason is None else reason)
        # If close_open() has raised, the application may try another code.
        self.state = CLOSED
        return 0

    cdef int close_open(self, int code, str reason) except -1:
        """Starts the closing handshake, unless it was started or the client has disconnected."""
        if self.tunnel and not self.conversation.code:
            self.conversation.close(code, reason)
            self.wake_readers()
        return 0

    # ---------------------------------------------------------------- the tunnel

    cdef bint accepts_body(self) noexcept:
        # Called by the session: whether the socket is read.
        return self.conversation.accepts() if self.tunnel else AsgiExchange.accepts_body(self)

    cdef Py_ssize_t tunnel_received(self, const char* data, Py_ssize_t size) except -1:
        return self.conversation.received(data, size)

    cdef double tunnel_deadline(self) noexcept:
        cdef double stop = self.stop_close_time()
        cdef double deadline = self.conversation.deadline()
        # The earlier one of both
        return stop if stop and (deadline == 0 or stop < deadline) else deadline

    cdef int tunnel_expired(self) except -1:
        cdef double stop = self.stop_close_time()
        if stop and monotonic() >= stop:
            # Before pings: a stop ends the conversation in any case.
            self.close_for_stop()
        else:
            self.conversation.expired()
        # Perhaps the conversation is over now.
        self.notify_readable()
        return 0

    cdef int drain(self) except -1:
        # After a handover the new server accepts connections, so there is time for answers that are being prepared.
        # With a spread, each has its time to end.
        return 0 if self.service.handover or self.service.spreads_ends else self.close_for_stop()

    cdef bint tunnel_is_open(self) noexcept:
        return not self.conversation.code

    cdef int stop_stream(self) except -1:
        return self.close_for_stop()

    cdef double stop_close_time(self) noexcept:
        # Without a successor drain() has closed it at once.
        if not self.service.handover or self.service.spreads_ends or self.conversation.code:
            return 0
        return self.service.drain_started_at + self.service.deadlines.drain_idle

    cdef int close_for_stop(self) except -1:
        # 1012 lets clients reconnect at once, to the new server.
        return self.close_open(SERVICE_RESTART if self.service.handover else GOING_AWAY, "")

    cdef int finish_tunnel(self) except -1:
        """Ends a conversation that is over. The connection is closed after the queued output."""
        if self.session is not None and not self.conversation.peer_closed:
            # The peer may still be sending, so the connection lingers at its end.
            self.session.cut_input(self.stream)
        # Before the writers wake: their send() has to find the end.
        self.end_tunnel()
        self.wake_writers()
        return self.complete() if self.session is not None else 0

    cdef int disconnect(self) except -1:
        if self.tunnel:
            self.end_tunnel()
        return AsgiExchange.disconnect(self)

    cdef int end_tunnel(self) except -1:
        # From here on the session discards the input of the tunnel.
        self.tunnel = False
        return self.conversation.mark_lost(LOST, "")

    # ---------------------------------------------------------------- the end

    cdef bint application_returned(self) except -1:
        self.application_ended()
        if self.conversation is not None:
            if not self.service.forked:
                # The application has returned without websocket.close.
                self.close_open(NORMAL, "")
        elif self.disconnect_received and not self.response_complete:
            # The application has received websocket.disconnect and has ended for that reason.
            self.abort_response()
        elif not self.response_complete and not self.disconnected:
            self.report("application returned without answering a WebSocket handshake", None)
            self.fail_with_500()
        return self.service.forked

    cdef int end_failed(self) except -1:
        if self.conversation is None:
            return AsgiExchange.end_failed(self)
        # An exception during the stop is usually caused by it. The code of the stop lets the client reconnect.
        return self.close_for_stop() if self.service.draining else self.close_open(INTERNAL_ERROR, "")


cdef bint send_usual(AsgiWebSocket exchange, SentMessage* sent) except -1:
    """Sends a message of the usual types, of which no method can run code of the application.

    sent: its values, which the message keeps. Returns False for any other message, of which nothing is sent.
    """
    cdef object content
    cdef Py_ssize_t size
    if sent.kind == NULL or type(<object>sent.kind) is not str or <str>sent.kind != "websocket.send":
        return False
    # The other key is usually missing; some frameworks give None for it.
    if sent.data == NULL or sent.data == <PyObject*>None:
        if sent.text == NULL or type(<object>sent.text) is not str:
            return False
        content = <object>sent.text
        size = PyUnicode_GET_LENGTH(content)
    elif (sent.text == NULL or sent.text == <PyObject*>None) and type(<object>sent.data) is bytes:
        content = <object>sent.data
        size = PyBytes_GET_SIZE(content)
    else:
        return False
    if exchange.disconnected or exchange.conversation.code:
        raise ClientDisconnected
    exchange.produced_bytes += size
    exchange.conversation.send(content)
    return True


cdef object value_of(dict message, str key):
    """Returns an own reference to a value, or None. The next lookup may run code that removes it from the message."""
    cdef PyObject* value = PyDict_GetItemWithError(message, key)
    return <object>value if value != NULL else None


def open_websocket(Request request not None):
    """Returns the exchange of a request for a WebSocket, or None for another request."""
    if asks_for_websocket(request) or is_downgraded(request):
        return AsgiWebSocket.__new__(AsgiWebSocket)
    warn_of_proxy(request)
    return None
