"""The part of an HTTP session that does not depend on its version.

Output: responses are encoded into the output of the connection, and an exchange learns from it how much waits.
Ends: a request is reported to the observer once the kernel has taken the last byte of its response, or never will.

Compiled because every request passes here: 218 instructions for ASGI hello.
"""
cimport cython

from ianus.codec.base cimport Codec, Framing, HeadEncoder, Request
from ianus.codec.fields cimport Field
from ianus.codec.file_range cimport FileRange
from ianus.codec.output cimport Output
from ianus.exchange.base cimport BodyInput, Session, SessionFactory, Transport
from ianus.exchange.connection_info cimport ConnectionInfo
from ianus.exchange.forwarded cimport ForwardedFacts, ForwardedRules
from ianus.exchange.gateway cimport Gateway
from ianus.exchange.http cimport GATHER_BYTES, HIGH_WATER, Exchange, asks_for_events, reject_over_limit
from ianus.exchange.in_flight_counter cimport NOT_COUNTED
from ianus.exchange.service cimport Service
from ianus.exchange.tls_facts cimport TlsFacts
from ianus.runtime.clock cimport monotonic, unix_time

from ianus.exchange.refusals import misdirected
from ianus.exchange.request_id import request_id
from ianus.telemetry.logger import logger


# No garbage collector for sessions, codecs and connections: on_connection_lost() and release() untie them, and a
# collection would visit thousands of idle ones.
@cython.no_gc
cdef class HttpSession(Session):
    cdef bint is_stopping(self) noexcept:
        # With a successor connections have time. Without one the clients must not wait for it.
        return self.service.draining and not self.service.handover

    cdef double write_timeout(self) noexcept:
        return self.service.deadlines.timeout_write

    # ---------------------------------------------------------------- requests

    cdef Exchange open_exchange(self, int stream, Request request, double started, double earliest):
        # Its class is the gateway's. It was made by __new__(), so all links are set here.
        cdef Exchange exchange = <Exchange>self.factory.gateway.open(request)
        exchange.session = self
        exchange.service = self.service
        exchange.request = request
        exchange.connection = self.transport.info
        exchange.stream = stream
        exchange.started = started
        if request.forwarding.count:
            self.read_forwarded(exchange)
        if self.service.measures_queue_time and not exchange.queued_since:
            # Also the time in the socket while this process was blocked. Bytes after the first ones may have arrived
            # later, so the time is never too long.
            exchange.queued_since = max(earliest, min(started, self.transport.input_received_at()))
            exchange.shares_queue_time = self.service.queue_time
        if self.service.request_id_header is not None:
            # Before the application is called, whose scope or environ has the same value.
            exchange.request_id = request_id(request.headers, self.service.request_id_header)
        if request.content_length != 0:
            exchange.awaits_continue = request.expect_continue
            # The body's time counts from its head.
            exchange.body_since = exchange.body_last = monotonic()
        return exchange

    cdef ConnectionInfo reported(self, Request request):
        cdef ForwardedFacts facts = None
        # The head was read to its end if forwarding fields are known.
        if request is not None and request.forwarding.count and self.service.forwarded is not None:
            facts = self.service.forwarded.read(request, self.transport.info)
        return self.transport.info if facts is None else facts.connection

    cdef int read_forwarded(self, Exchange exchange) except -1:
        cdef ForwardedFacts facts
        if self.service.forwarded is None:
            return 0
        facts = self.service.forwarded.read(exchange.request, exchange.connection)
        if facts is None:
            return 0
        exchange.connection = facts.connection
        exchange.prefix = facts.prefix
        if facts.request_start:
            # From here on by a clock that does not jump.
            exchange.queued_since = monotonic() - (unix_time() - facts.request_start)
            exchange.shares_queue_time = True
        return 0

    cdef int on_trailers(self, int stream, list fields) except -1:
        # ASGI and WSGI have no place for them; they are validated and dropped.
        return 0

    cdef bint start_exchange(self, Exchange exchange) except -1:
        cdef str limit = None
        if self.service.draining and asks_for_events(exchange.request):
            # A response would delay the stop as long as it lasts. An EventSource reconnects by itself, and browsers
            # repeat a request that got no response on a used connection (RFC 9110 section 9.2.2).
            # No bytes at all: browsers treat an answer as a failure of the stream.
            exchange.abort_response()
            return False
        if self.service.is_certified is not None and is_misdirected(exchange, self.transport.info):
            reason = "the certificate of the connection is not for the host of the request"
            # A client may send each request of a page to the wrong connection.
            if misdirected.admits(exchange.connection.client):
                self.log_rejection(421, reason, exchange.request, exchange.connection)
            # RFC 9110 section 15.5.20. After a refused upgrade a proxy may still take the connection for a tunnel.
            exchange.send_error(421, reason, [], exchange.request.upgrade)
            return False
        if self.service.in_flight.has_limits:
            limit = self.service.in_flight.exceeded_limit(exchange.in_flight_kind())
        if limit is not None:
            # Before the application is called, so a flood costs no thread and no task.
            reject_over_limit(exchange, limit)
            return False
        # The application reads from the start, so it needs no notice of this.
        exchange.has_unread_input = False
        return exchange.start()

    cdef int log_rejection(self, int status, str reason, Request request, ConnectionInfo connection) except -1:
        client = connection.client
        name = f"{client[0]}:{client[1]}" if client else "unix socket"
        if request is None or request.target is None:
            # Its head was not valid.
            logger.info("rejected request: status %d, client %s: %s", status, name, reason)
        else:
            logger.info(
                "rejected request: status %d, client %s: %s: %s %s",
                status, name, reason, request.method, request.target.decode("ascii"),
            )
        return 0

    # ---------------------------------------------------------------- a body that another thread reads

    cdef BodyInput lend_body(self, int stream):
        # A body with framing is only read by the codec.
        return self.transport.lend_input() if self.codec.unread_body(stream) else None

    cdef int note_body(self, int stream, long long size) except -1:
        # It calls on_end() after the last byte.
        return self.codec.skip_body(stream, size)

    # ---------------------------------------------------------------- output

    cdef HeadEncoder encoder(self):
        return self.factory.encoder

    cdef int send_informational(self, int stream, object head) except -1:
        # These pass the calls on: an exchange must not know the codec, which may serve several streams.
        return self.codec.send_informational(stream, head)

    cdef int send_head(self, int stream, object head, Framing framing, long long length, bint close) except -1:
        return self.codec.send_head(stream, head, framing, length, close)

    cdef int send_body(self, int stream, bytes data) except -1:
        return self.codec.send_body(stream, data)

    cdef int send_data(self, int stream, const char* data, Py_ssize_t size) except -1:
        return self.codec.send_data(stream, data, size)

    cdef int send_file(self, int stream, FileRange file) except -1:
        return self.codec.send_file(stream, file)

    cdef int send_end(self, int stream) except -1:
        return self.codec.send_end(stream)

    cdef int send_trailers(self, int stream, const Field* fields, Py_ssize_t count) except -1:
        return self.codec.send_trailers(stream, fields, count)

    cdef int output_queued(self, int stream, bint at_once) except -1:
        cdef Output out = self.transport.out
        # A blocked connection is watched for WRITABLE, and sends then.
        if out is None or self.transport.blocked:
            return 0
        if at_once or out.size >= GATHER_BYTES:
            return self.transport.flush()
        return self.transport.resume_soon()

    cdef int resume_soon(self, int stream) except -1:
        return self.transport.resume_soon()

    cdef int reconsider(self, int stream) except -1:
        return self.transport.reconsider()

    cdef bint blocked(self, int stream) noexcept:
        return self.transport.blocked

    cdef bint congested(self, int stream) noexcept:
        cdef Output out = self.transport.out
        # A fast client may have more queued, since sending in large pieces is cheaper.
        return out is not None and out.size > (HIGH_WATER if self.transport.blocked else GATHER_BYTES)

    cdef Py_ssize_t unsent(self, int stream) noexcept:
        return 0 if self.transport.out is None else self.transport.out.size

    cdef long long position(self, int stream) noexcept:
        # Positions count all bytes of the connection, so they stay comparable while output is sent.
        return self.transport.taken + self.unsent(stream)

    # ---------------------------------------------------------------- the observer

    cdef int report_when_taken(self, Exchange exchange) except -1:
        """Reports a response without further output once the kernel has taken all of it, or never will."""
        self.note_end(exchange)
        return 0 if self.transport.out is not None else self.on_output_taken()

    cdef int note_end(self, Exchange exchange) except -1:
        cdef Exchange last = self.first_unreported
        # Noted once: the first call has the true end.
        if self.service.observer is None or exchange.end_position:
            return 0
        # The kernel has taken the response when `taken` reaches this.
        exchange.end_position = self.position(exchange.stream)
        if last is None:
            self.first_unreported = exchange
            return 0
        # Pipelined responses only; usually the list is empty.
        while last.next_unreported is not None:
            last = last.next_unreported
        last.next_unreported = exchange
        return 0

    cdef int on_output_taken(self) except -1:
        while self.first_unreported is not None and self.first_unreported.end_position <= self.transport.taken:
            self.report_first(self.first_unreported.end_position)
        return 0

    cdef int report_first(self, long long taken) except -1:
        """Reports the first exchange of the list, whose response the kernel has taken up to a position."""
        cdef Exchange exchange = self.first_unreported
        # Unlinked before the report, which calls code of the observer.
        self.first_unreported = exchange.next_unreported
        exchange.next_unreported = None
        return exchange.report_end(max(<long long>0, exchange.end_position - taken))

    cdef int report_all(self, long long taken) except -1:
        """Reports all exchanges of the list, after the connection is lost."""
        while self.first_unreported is not None:
            self.report_first(taken)
        return 0


cdef bint is_misdirected(Exchange exchange, ConnectionInfo info) except -1:
    """Whether the host of a request is not one of the certificate of its connection."""
    cdef TlsFacts facts = info.tls_facts()
    cdef ForwardedRules rules = exchange.service.forwarded
    cdef bytes host
    # A context of the user's own has a certificate that is not known here.
    if facts is None or facts.server_certificate is None:
        return False
    # Such as a health check, which names an address. It counts for no limit either.
    if exchange.in_flight_kind() == NOT_COUNTED:
        return False
    # RFC 9110 section 7.4 excepts a trusted gateway: the certificate was that for the proxy.
    if exchange.request.forwarding.count and rules is not None and rules.peers.has_client(info.client):
        return False
    host = host_of(exchange.request)
    # An empty field, or none, names no other host.
    return bool(host) and not exchange.service.is_certified(host, facts.server_certificate)


cdef bytes host_of(Request request):
    for name, value in request.headers:
        if name == b"host":
            return value
    # HTTP/1.0 does not require it.
    return b""


cdef class HttpSessionFactory(SessionFactory):
    """Makes the sessions of new connections in one version of HTTP."""

    def __init__(self, Service service not None, HeadEncoder encoder not None):
        self.service = service
        self.gateway = service.gateway
        self.encoder = encoder

    def set_gateway(self, Gateway gateway not None) -> None:
        """Sets the gateway that the requests of these connections pass, in place of the service's."""
        self.gateway = gateway

    cdef int set_up(self, HttpSession session, Transport transport, Codec codec) except -1:
        session.service = self.service
        session.factory = self
        # Cycles, since the connection owns its session. on_connection_lost() ends them.
        session.transport = transport
        session.codec = codec
        codec.sink = session
        return 0

    cdef int drain(self, bint handover) except -1:
        return self.service.drain(handover)

    cdef int end_streams(self) except -1:
        return self.service.end_streams()

    cdef int reset_in_child(self) except -1:
        return self.service.reset_in_child()
