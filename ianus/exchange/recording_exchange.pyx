"""Exchanges whose application is the test, a session that records their calls, and the compiled functions for heads."""
import sys

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from ianus.codec.base cimport (
    FRAMING_DECLARED, FRAMING_LENGTH, FRAMING_STREAM, FRAMING_TUNNEL, Framing, HeadEncoder, Request,
)
from ianus.codec.fields cimport Field
from ianus.codec.file_range cimport FileRange, file_range
from ianus.exchange.base cimport ExchangeHost
from ianus.exchange.connection_info cimport HTTP, connection_info
from ianus.exchange.error_response cimport send_error_response
from ianus.exchange.gateway cimport Gateway
from ianus.exchange.http cimport accepts_trailers, new_response, prepare_response
from ianus.exchange.response_head cimport ResponseFacts, build_head, build_hints
from ianus.exchange.service cimport Service, WebSocketRules
from ianus.exchange.tunnel cimport TunnelExchange
from ianus.exchange.websocket cimport WebSocket, open_conversation
from ianus.runtime.clock cimport monotonic


cdef dict FRAMINGS = {
    FRAMING_DECLARED: "declared", FRAMING_LENGTH: "length", FRAMING_STREAM: "stream", FRAMING_TUNNEL: "tunnel",
}


# ---------------------------------------------------------------- heads of responses


cdef class RecordingHeadEncoder(HeadEncoder):
    """Encodes a head as a tuple of status, reason and list of fields."""
    cdef object encode(self, int status, bytes reason, const Field* fields, Py_ssize_t count):
        # A copy: the fields point into objects that live during the call only.
        return status, reason, field_list(fields, count)


# One object, as all connections of a protocol have: cached heads are those of one encoder.
cdef RecordingHeadEncoder HEAD_ENCODER = RecordingHeadEncoder()


cdef list field_list(const Field* fields, Py_ssize_t count):
    return [
        (fields[i].name[:fields[i].name_size], fields[i].value[:fields[i].value_size]) for i in range(count)
    ]


def make_head(
    Service service not None, headers, *, int status=200, bytes reason=None, bint native=False, bytes request_id=None,
    bint trailers=False
) -> tuple:
    """Builds the head of a response. Returns status, reason, fields and a dictionary of its facts."""
    cdef ResponseFacts facts
    head = build_head(
        # "application" is the name in messages about its fields.
        service, HEAD_ENCODER, status, reason, headers, native, request_id, trailers, "application", &facts
    )
    return *head, {
        "content_length": facts.content_length, "close": facts.close, "is_event_stream": facts.is_event_stream,
    }


def make_hints(list pairs not None) -> list:
    """Builds the head of a 103. Returns its fields."""
    return build_hints(RecordingHeadEncoder(), pairs)[2]


def send_error_page(
    Service service not None, RecordingHost host not None, int status, *, str detail=None, fields=(),
    bytes request_id=None, bint no_body=False, bint close=False
) -> int:
    """Sends an error response. Returns the size of its body."""
    return send_error_response(
        # Stream 0, as all of HTTP/1.
        service, host, 0, status, detail, list(fields), request_id, no_body, close
    )


# ---------------------------------------------------------------- exchanges


@cython.no_gc
cdef class RecordingHost(ExchangeHost):
    """A session that records the calls of its exchange.

    is_blocked, is_congested, serial: the values of the methods with these names.
    """
    # The exchange refers to its host and not the other way, so there is no cycle.
    cdef list calls
    cdef public bint is_blocked
    cdef public bint is_congested
    cdef public bint serial

    def __init__(self):
        self.calls = []

    def take_calls(self) -> list:
        """Returns the calls since the last time."""
        calls = self.calls
        self.calls = []
        return calls

    cdef HeadEncoder encoder(self):
        # Heads stay tuples, so that a test compares fields and no bytes.
        return HEAD_ENCODER

    cdef int send_informational(self, int stream, object head) except -1:
        self.calls.append(("informational", head))
        return 0

    cdef int send_head(self, int stream, object head, Framing framing, long long length, bint close) except -1:
        # The status alone: make_head() is for the fields.
        self.calls.append(("head", head[0], FRAMINGS[framing], length, "close" if close else "keep"))
        return 0

    cdef int send_body(self, int stream, bytes data) except -1:
        self.calls.append(("body", data))
        return 0

    cdef int send_data(self, int stream, const char* data, Py_ssize_t size) except -1:
        # Copied: the bytes belong to the caller, and may be on its stack.
        self.calls.append(("data", PyBytes_FromStringAndSize(data, size)))
        return 0

    cdef int send_file(self, int stream, FileRange file) except -1:
        # Not the range itself, which would keep the descriptor open.
        self.calls.append(("file", file.left))
        return 0

    cdef int send_end(self, int stream) except -1:
        self.calls.append("end")
        return 0

    cdef int send_trailers(self, int stream, const Field* fields, Py_ssize_t count) except -1:
        self.calls.append(("trailers", field_list(fields, count)))
        return 0

    cdef int output_queued(self, int stream, bint at_once) except -1:
        # Nothing is sent: a test sees at which moments a session would send.
        self.calls.append("send at once" if at_once else "send soon")
        return 0

    cdef int resume_soon(self, int stream) except -1:
        self.calls.append("resume soon")
        return 0

    cdef int reconsider(self, int stream) except -1:
        self.calls.append("reconsider")
        return 0

    # The test decides how fast the client reads.
    cdef bint blocked(self, int stream) noexcept:
        return self.is_blocked

    cdef bint congested(self, int stream) noexcept:
        return self.is_congested

    cdef bint is_serial(self, int stream) noexcept:
        return self.serial

    cdef int cut_input(self, int stream) except -1:
        self.calls.append("cut input")
        return 0

    cdef int response_queued(self, int stream) except -1:
        self.calls.append("response queued")
        return 0

    cdef int response_complete(self, int stream) except -1:
        # Unlike a session, it keeps no exchange that it would have to forget here.
        self.calls.append("response complete")
        return 0

    cdef int on_response_aborted(self, int stream, bint partial) except -1:
        self.calls.append("aborted: partial" if partial else "aborted")
        return 0


@cython.no_gc
cdef class RecordingExchange(TunnelExchange):
    """An exchange whose application is the test. events: the calls of its session."""
    cdef readonly list events
    cdef bint runs_later            # its application is called after the loop's callbacks
    cdef public object on_readable  # called when input has arrived, or None

    # ---------------------------------------------------------------- from the session

    cdef bint start(self) except -1:
        self.events.append("start")
        # As each gateway does before the call; end_call() is the other half.
        self.add_in_flight()
        if (<RecordingGateway>self.gateway).application is not None:
            (<RecordingGateway>self.gateway).application(self)
        # The session then waits with the output, as for a task of an event loop.
        return self.runs_later

    cdef bint notify_readable(self) except -1:
        self.events.append("readable")
        if self.on_readable is not None:
            self.on_readable()
        return self.runs_later

    cdef bint accepts_body(self) noexcept:
        # A tunnel has no body; its conversation would bound the input.
        return self.tunnel or TunnelExchange.accepts_body(self)

    cdef int notify_writable(self) except -1:
        self.events.append("writable")
        return 0

    cdef Py_ssize_t tunnel_received(self, const char* data, Py_ssize_t size) except -1:
        self.events.append(PyBytes_FromStringAndSize(data, size))
        # All of it, so the connection keeps no leftover.
        return size

    cdef double tunnel_deadline(self) noexcept:
        # A value that no other deadline has
        return 4711

    cdef int tunnel_expired(self) except -1:
        self.events.append("expired")
        return 0

    # ---------------------------------------------------------------- from the application

    def read_body(self) -> bytes:
        """Takes the part of the request's body that has arrived."""
        return self.take_body()

    def ask_for_body(self) -> None:
        """Acts as an application that waits for the body."""
        self.want_body()

    def respond(self, int status=200, headers=(), *, bint trailing=False, bint native=False) -> None:
        """Starts a response. trailing: trailers follow its body. native: its fields are str."""
        cdef ResponseFacts facts
        cdef bint wanted = trailing and accepts_trailers(self.request)
        # In the order of the gateways: all checks first, so that an error changes nothing.
        head = prepare_response(self, self.session.encoder(), status, None, headers, native, wanted, &facts)
        if self.response is None:
            self.response = new_response()
        self.response.start(self, status, head, &facts)
        self.response.trailers_follow = trailing
        if wanted:
            # None would mean that the client gets none.
            self.response.trailers = []

    def compute_length(self, long long size) -> None:
        """Declares the length of the body after the start."""
        self.response.computed_length = size

    def send_each_piece(self) -> None:
        """Has each piece of the body sent at once."""
        self.response.flush_each_piece = True

    def defer_completion(self) -> None:
        """Has the next request wait for complete_late()."""
        self.response.defer_completion = True

    def complete_late(self) -> None:
        """Completes a response whose completion was deferred."""
        self.complete()

    def send(self, bytes data not None, *, bint more=False) -> None:
        """Sends a piece of the body."""
        self.response.send_body(self, data, more)

    def send_file(self, int fd, long long size, *, bint more=False, bint waits=False) -> None:
        """Sends the first `size` bytes of a file, and takes the descriptor."""
        # The range owns the descriptor, and closes it.
        self.response.send_file(self, file_range(fd, 0, size), more, waits)

    def send_trailers(self, headers, *, bint more=False) -> None:
        """Sends trailers."""
        self.response.send_trailers(self, headers, more)

    def send_hints(self, list pairs not None) -> None:
        """Sends a 103 with these fields."""
        if self.response is None:
            self.response = new_response()
        self.response.send_hints(self, build_hints(RecordingHeadEncoder(), pairs))

    def suspend(self) -> None:
        """Acts as after the loop's callbacks: the application may have suspended."""
        self.flush_deferred()

    def send_page(self, int status, str detail=None, *, bint close=False) -> None:
        """Sends an error response of the server in place of the application's."""
        self.send_error(status, detail, [], close)

    def abort(self) -> None:
        """Ends a response that cannot be completed."""
        self.abort_response()

    def fail(self) -> None:
        """Acts as after an exception of the application."""
        self.fail_with_500()

    def log(self, str event not None, error=None) -> None:
        """Logs a mistake of the application."""
        self.report(event, error)

    def end_call(self) -> None:
        """Acts as after the application has returned."""
        # A second call does nothing, by the mark of the exchange.
        self.remove_in_flight()

    def takes_thread(self, int max_calls) -> bool:
        """Asks the session whether the call may have a thread, of which the connection has at most this many."""
        return self.session.admit_call(self.stream, max_calls)

    def free_thread(self) -> None:
        """Acts as after the return of a call that had a thread."""
        self.remove_in_flight()
        self.call_host.on_call_ended(self.stream)

    def open_tunnel(self) -> None:
        """Accepts an upgrade."""
        self.status = 101
        self.session.send_head(
            self.stream, self.session.encoder().encode(101, None, NULL, 0), FRAMING_TUNNEL, 0, False
        )
        # From here on the session passes input to tunnel_received().
        self.head_sent = self.tunnel = True
        self.session.resume_soon(self.stream)


# These act as the session of an exchange, or show its state.


def arrive(RecordingExchange exchange not None, bytes data not None) -> None:
    """Adds a piece of the request's body."""
    # `data` is kept by the caller during the call; the exchange copies it.
    exchange.body_arrived(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


def end_request(RecordingExchange exchange not None) -> None:
    """Ends the request's body."""
    exchange.request_ended()


def accepts_body(RecordingExchange exchange not None) -> bool:
    """Whether more of the request's body should be read."""
    return exchange.accepts_body()


def disconnect(RecordingExchange exchange not None) -> None:
    """Notifies an exchange of the loss of its connection."""
    exchange.disconnect()


def drain_exchange(RecordingExchange exchange not None) -> None:
    """Notifies an exchange that the server stops."""
    exchange.drain()


def body_times(RecordingExchange exchange not None) -> tuple[float, float, int]:
    """Since when the body is read, when bytes of it arrived last, and the bytes since then."""
    return exchange.body_since, exchange.body_last, exchange.body_received


def set_body_times(RecordingExchange exchange not None, double since, double last, long long received) -> None:
    """Sets the values of body_times()."""
    exchange.body_since = since
    exchange.body_last = last
    exchange.body_received = received


cdef class RecordingGateway(Gateway):
    """Opens exchanges whose application is the test.

    runs_later: as with an event loop, they are started later. application: called at the start of each exchange.
    """
    cdef readonly list exchanges
    cdef bint runs_later
    cdef object application

    def __init__(self, *, bint runs_later=False, application=None):
        self.name = "recording"
        self.application = application
        self.exchanges = []
        self.runs_later = runs_later

    cdef object open(self, Request request):
        cdef RecordingExchange exchange = RecordingExchange.__new__(RecordingExchange)
        exchange.events = []
        exchange.gateway = self
        exchange.runs_later = self.runs_later
        self.exchanges.append(exchange)
        return exchange


def open_by(Gateway gateway not None, str path not None) -> object:
    """Returns the exchange that a gateway opens for a GET of this path."""
    return gateway.open(make_request("GET", path.encode(), "1.1", [], 0, False))


def open_exchange(
    Service service not None, RecordingHost host not None, *, str method="GET", bytes target=b"/path",
    str http_version="1.1", headers=(), long long content_length=0, bint expect_continue=False
) -> RecordingExchange:
    """Opens an exchange of a RecordingGateway with a session that records, without a codec."""
    cdef Request request = make_request(method, target, http_version, list(headers), content_length, expect_continue)
    cdef RecordingExchange exchange = (<Gateway>service.gateway).open(request)
    exchange.session = host
    exchange.service = service
    exchange.request = request
    exchange.connection = connection_info(("192.0.2.1", 4711), ("192.0.2.80", 8000), HTTP)
    exchange.started = monotonic()
    exchange.awaits_continue = expect_continue
    # A codec would have called request_ended().
    exchange.request_complete = content_length == 0
    return exchange


cdef Request make_request(
    str method, bytes target, str http_version, list headers, long long content_length, bint expect_continue
):
    cdef Request request = Request.__new__(Request)
    # Interned, as the codec makes them: methods are compared by identity.
    request.method = sys.intern(method)
    request.target = request.raw_path = target
    request.path = target.decode()
    request.query_string = b""
    request.http_version = sys.intern(http_version)
    request.headers = headers
    request.content_length = content_length
    request.expect_continue = expect_continue
    return request


# ---------------------------------------------------------------- WebSocket


cdef class RecordingWebSocket:
    """A WebSocket conversation in the tunnel of an exchange with a session that records."""
    cdef WebSocket socket
    cdef RecordingExchange exchange

    def __init__(self, RecordingExchange exchange not None, WebSocketRules rules not None):
        self.exchange = exchange
        # A cycle with the exchange, until lose() or the end of the conversation.
        self.socket = open_conversation(exchange, rules, None)

    @property
    def state(self) -> WebSocket:
        """The conversation, whose attributes are its state."""
        return self.socket

    @property
    def accepts(self) -> bool:
        """Whether more bytes are read."""
        return self.socket.accepts()

    @property
    def was_notified(self) -> bool:
        """Whether the exchange is to look at the conversation."""
        return bool(self.exchange.has_unread_input)

    def receive(self, bytes data not None) -> int:
        """Passes received bytes. Returns the number consumed."""
        return self.socket.received(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    def take_message(self) -> str | bytes | None:
        """Takes the oldest message."""
        return self.socket.take_message()

    def send(self, message) -> None:
        """Sends a message."""
        self.socket.send(message)

    def close(self, int code, str reason="") -> None:
        """Starts the closing handshake."""
        self.socket.close(code, reason)

    def resume_reading(self) -> None:
        """Acts as after something that has kept it from reading."""
        self.socket.resume_reading()

    def lose(self, int code=1006) -> None:
        """Acts as after the loss of the connection."""
        self.socket.mark_lost(code, "")

    def deadline(self) -> float:
        """The time at which expire() is to be called, 0 for none."""
        return self.socket.deadline()

    def expire(self) -> None:
        """Acts as after the deadline."""
        self.socket.expired()

    @property
    def times(self) -> tuple[float, float, float]:
        """When bytes arrived last, when the unanswered ping was sent, and until when the close is waited for."""
        return self.socket.last_received_at, self.socket.ping_sent_at, self.socket.close_deadline

    def set_times(self, double received, double ping=0, double close=0) -> None:
        """Sets the values of `times`."""
        self.socket.last_received_at = received
        self.socket.ping_sent_at = ping
        self.socket.close_deadline = close
