"""The state of a WebSocket conversation.

Facts: connections are usually idle, and messages are usually small. Strategy: an open one holds no buffer; a frame is
written into the connection's output, and all output of one step of the event loop is sent at once.

Rules:
- The queue is bounded in messages and bytes. If the application does not take messages, the socket is not read.
- Pings are answered here. A peer that sends bytes gets no ping; one that does not answer a ping counts as gone.
- After a close frame nothing is sent, and all input except the peer's close frame is ignored.

Compiled because every message passes here: 431 instructions for an echo of 128 bytes.
"""
cimport cython
from libc.math cimport ceil
from libc.string cimport memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_GET_LENGTH

from ianus.codec.output cimport COPY_LIMIT_BYTES
from ianus.codec.websocket.codec cimport (
    BINARY, CLOSE, INTERNAL_ERROR, LOST, MAX_HEADER_BYTES, NO_CODE, PING, PONG, TEXT, WebSocketCodec, WebSocketSink,
    close_payload, may_close_with, write_header,
)
from ianus.codec.websocket.deflate cimport MIN_COMPRESSED_BYTES, Deflate
from ianus.exchange.base cimport ExchangeHost
from ianus.exchange.http cimport HIGH_WATER, Exchange
from ianus.exchange.service cimport WebSocketRules
from ianus.runtime.clock cimport monotonic_coarse


cdef enum:
    MAX_JOINED_BYTES = 512  # payload that is copied after its header, so that both are one call of the session


cdef WebSocket open_conversation(Exchange exchange, WebSocketRules rules, Deflate deflate):
    cdef WebSocket socket = WebSocket.__new__(WebSocket)
    # A cycle: the exchange owns the conversation. mark_lost() ends it, and the codec's with its sink.
    socket.exchange = exchange
    socket.rules = rules
    socket.codec = WebSocketCodec(rules.ws_max_size)
    socket.codec.sink = socket
    socket.codec.deflate = deflate
    socket.last_received_at = monotonic_coarse()
    return socket


@cython.no_gc
cdef class WebSocket(WebSocketSink):
    # ---------------------------------------------------------------- receiving

    cdef Py_ssize_t received(self, const char* data, Py_ssize_t size) except -1:
        # RFC 6455 section 1.4: data after the closing handshake is ignored.
        if self.over:
            return size
        self.last_received_at = monotonic_coarse()
        # Any byte shows that the peer is alive; it need not be the pong.
        self.ping_sent_at = 0
        return self.codec.feed(data, size)

    cdef bint accepts(self) noexcept:
        return not self.over and not self.codec.paused

    cdef int on_message(self, object message) except -1:
        if self.code:
            # The application has closed; it does not listen any more.
            return 0
        if self.next_message is None:
            # The usual case: the application waits for it, so the queue is not used.
            self.next_message = message
        else:
            # Made when it is needed, since applications are usually faster than clients.
            if self.queue is None:
                self.queue = []
            self.queue.append(message)
        self.queued += size_of(message)
        if self.queue_full():
            # The rest stays in the connection's leftover, and then in the socket: the peer has to wait.
            self.codec.paused = True
        # The session wakes the application after the codec has returned.
        self.exchange.has_unread_input = True
        return 0

    cdef int on_ping(self, bytes payload) except -1:
        # RFC 6455 section 5.5.1: no frame follows a close frame.
        if self.close_sent:
            return 0
        # RFC 6455 section 5.5.2; a peer that sends them and does not read the answers has to wait like any other.
        self.send_frame(PONG, False, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), None)
        if self.exchange.congested():
            self.codec.paused = True
        return 0

    cdef int on_pong(self, bytes payload) except -1:
        # received() has noted the time. A pong need not match a ping (RFC 6455 section 5.5.3).
        return 0

    cdef int on_close(self, int code, str reason) except -1:
        self.peer_closed = True
        # RFC 6455 section 5.5.1: the code is echoed.
        return self.end(code, "", code, reason)

    cdef int on_error(self, int code, str reason) except -1:
        # RFC 6455 section 7.1.7: the connection fails with this code.
        return self.end(code, reason, code, reason)

    cdef int end(self, int code_sent, str reason_sent, int code, str reason) except -1:
        """Nothing more is read. The last two are for the application."""
        if not self.close_sent:
            self.send_close(code_sent, reason_sent)
        # From here on all input is discarded.
        self.over = True
        self.note_end(code, reason)
        # The exchange closes the connection when no codec is on the stack.
        self.exchange.has_unread_input = True
        return 0

    cdef object take_message(self):
        cdef object message = self.next_message
        if message is None:
            return None
        # The queue is short, by ws_max_queue.
        self.next_message = self.queue.pop(0) if self.queue else None
        self.queued -= size_of(message)
        if self.codec.paused:
            # There is space again.
            self.resume_reading()
        return message

    cdef bint queue_full(self) noexcept:
        cdef Py_ssize_t messages = 0 if self.next_message is None else 1
        if self.queue is not None:
            messages += len(self.queue)
        return messages >= self.rules.ws_max_queue or self.queued >= HIGH_WATER

    cdef int resume_reading(self) except -1:
        """Resumes reading, if nothing prevents it any more."""
        if not self.codec.paused or self.over or self.exchange is None or self.exchange.congested():
            return 0
        # After the end the application takes nothing, so the queue does not matter.
        if self.queue_full() and not self.code:
            return 0
        # The bytes that wait are fed by the connection, after the loop's callbacks.
        self.codec.paused = False
        return self.exchange.session.resume_soon(self.exchange.stream)

    # ---------------------------------------------------------------- sending

    cdef int send(self, object message) except -1:
        cdef Py_ssize_t size
        cdef const char* text
        cdef bytes data = None
        cdef int opcode = BINARY
        cdef Deflate deflate = self.codec.deflate
        if type(message) is str:
            opcode = TEXT
            # The bytes are owned by the str, which the caller keeps during this call. A lone surrogate raises, before
            # anything is sent.
            text = PyUnicode_AsUTF8AndSize(message, &size)
            if size >= COPY_LIMIT_BYTES or deflate is not None and size >= MIN_COMPRESSED_BYTES:
                # A bytes object that the output can reference, or that zlib takes.
                data = text[:size]
        else:
            data = <bytes>message
            text = PyBytes_AS_STRING(data)
            size = PyBytes_GET_SIZE(data)
        # Before compression: the log shows the application's bytes.
        self.exchange.bytes_sent += size
        if deflate is not None and size >= MIN_COMPRESSED_BYTES:
            # In the order of sending: with context takeover each message depends on those before it.
            data = deflate.compress(data)
            return self.send_frame(opcode, True, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), data)
        return self.send_frame(opcode, False, text, size, data)

    cdef int send_frame(self, int opcode, bint compressed, const char* data, Py_ssize_t size, bytes owner) except -1:
        """owner: the object that has the data, if it may be referenced until it has left."""
        cdef unsigned char frame[MAX_HEADER_BYTES + MAX_JOINED_BYTES]
        cdef Exchange exchange = self.exchange
        cdef ExchangeHost session = exchange.session
        cdef int header_size = write_header(frame, opcode, compressed, size)
        # Copied by the session: the header is on the stack.
        if size <= MAX_JOINED_BYTES:
            memcpy(frame + header_size, data, size)
            session.send_data(exchange.stream, <const char*>frame, header_size + size)
        else:
            session.send_data(exchange.stream, <const char*>frame, header_size)
            if owner is not None:
                session.send_body(exchange.stream, owner)
            else:
                session.send_data(exchange.stream, data, size)
        if opcode < CLOSE:
            return session.output_queued(exchange.stream, False)
        # Control frames are also sent while a codec is on the stack.
        return session.resume_soon(exchange.stream)

    # ---------------------------------------------------------------- closing

    cdef int close(self, int code, str reason) except -1:
        """Starts the closing handshake (RFC 6455 section 7.1.2). Raises ValueError for a code that must not be sent."""
        if code != NO_CODE and not may_close_with(code):
            raise ValueError(f"close code {code} cannot be sent")
        # The closing handshake has started, by either side.
        if self.close_sent or self.over:
            return 0
        self.send_close(code, reason)
        # The peer has that long for its close frame; then the connection is closed without it.
        self.close_deadline = monotonic_coarse() + self.rules.ws_close_timeout
        self.note_end(code, reason)
        # The unread input is read, up to the peer's close frame.
        self.resume_reading()
        return self.exchange.session.reconsider(self.exchange.stream)

    cdef int send_close(self, int code, str reason) except -1:
        cdef bytes payload = close_payload(code, reason)
        # First, so that nothing follows the frame.
        self.close_sent = True
        return self.send_frame(CLOSE, False, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload), None)

    cdef int note_end(self, int code, str reason) except -1:
        """The application is to hear of no other end than the first one."""
        if not self.code:
            self.code = code
            self.reason = reason
        return 0

    cdef int mark_lost(self, int code, str reason) except -1:
        self.over = True
        self.note_end(code, reason)
        # Ends the cycle with the exchange.
        self.exchange = None
        self.codec.sink = None
        return 0

    # ---------------------------------------------------------------- deadlines

    cdef double deadline(self) noexcept:
        cdef WebSocketRules rules = self.rules
        cdef double when, tick
        if self.over:
            return 0
        # Waiting for the peer's close frame: no pings any more.
        if self.close_deadline:
            return self.close_deadline
        if rules.ws_ping_interval == 0:
            return 0
        # A ping waits for an answer.
        if self.ping_sent_at and rules.ws_ping_timeout:
            when = self.ping_sent_at + rules.ws_ping_timeout
        else:
            when = max(self.last_received_at, self.ping_sent_at) + rules.ws_ping_interval
        # Thousands of connections share a few wake-ups.
        tick = min(1.0, rules.ws_ping_interval / 20)
        return ceil(when / tick) * tick

    cdef int expired(self) except -1:
        cdef double now = monotonic_coarse()
        if self.close_deadline:
            # The peer's close frame has not arrived in time: the wait ends (RFC 6455 section 7.1.1).
            # The caller then calls notify_readable(), which ends the tunnel.
            self.over = True
        elif self.codec.paused or self.exchange.session.blocked(self.exchange.stream):
            # While reading is paused a pong cannot be seen, and a ping waits after unsent output.
            self.last_received_at = now
            self.ping_sent_at = 0
        elif self.ping_sent_at and self.rules.ws_ping_timeout:
            return self.end(INTERNAL_ERROR, "keepalive ping timeout", LOST, "keepalive ping timeout")
        else:
            self.ping_sent_at = now
            return self.send_frame(PING, False, b"", 0, None)
        return 0


cdef inline Py_ssize_t size_of(object message) noexcept:
    """The characters or bytes of a received message, which is a str or bytes."""
    return PyUnicode_GET_LENGTH(message) if type(message) is str else PyBytes_GET_SIZE(message)
