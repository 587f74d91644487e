"""The start of a connection on which a proxy sends a header of the PROXY protocol.

Rules:
- Each connection starts with a header, and only an allowed peer may send one. Otherwise the connection is closed
  without a response: to guess the address of a client would let clients forge it.
- A health check may connect and close without a byte, and nothing is logged.
- With a byte filter, such as TLS, the header precedes the bytes of the filter, which starts after it.
- The header has its own deadline, which starts with its first byte. A Network Load Balancer of AWS sends the header
  together with the client's first bytes.

Compiled because it is a session. A connection passes it once.
"""
cimport cython

from ianus.acceptor.byte_filter cimport ByteFilter, ByteFilterFactory
from ianus.acceptor.connection cimport Connection
from ianus.acceptor.filtering cimport start_filter
from ianus.exchange.base cimport Session, SessionFactory, Transport
from ianus.exchange.connection_info cimport HTTPS, extended_connection_info
from ianus.exchange.first_session cimport FirstSession
from ianus.runtime.clock cimport monotonic

from ianus.acceptor.proxy_protocol import MAX_HEADER_BYTES, ProxyHeaderError, parse_proxy_header
from ianus.telemetry.logger import logger


cdef double REFUSAL_LOG_SECONDS = 1.0       # between two log lines about refused connections
cdef Py_ssize_t MAX_BYTES = MAX_HEADER_BYTES


@cython.no_gc
cdef class ProxiedSession(FirstSession):
    cdef Py_ssize_t received(self, const char* data, Py_ssize_t size) except -1:
        if not self.factory.is_allowed(self.transport.info.client):
            self.refusal = "the peer is not in --proxy-allow-ips"
            return size
        try:
            # The slice is a copy, so no view of the receive buffer remains.
            header = parse_proxy_header(data[:min(size, MAX_BYTES)], self.factory.versions)
        except ProxyHeaderError as error:
            self.refusal = str(error)
            return size
        if header is None:
            # The bytes stay with the connection. Later ones do not extend the deadline.
            if self.since == 0:
                self.since = monotonic()
            return 0
        self.complete = True
        self.addresses = header.addresses
        return header.size

    cdef int run(self) except -1:
        if self.refusal is not None:
            return self.refuse(self.refusal)
        return self.pass_header() if self.complete else 0

    cdef int pass_header(self) except -1:
        """Gives the connection to the next session, with the addresses of the header."""
        cdef Transport transport = self.transport
        addresses = self.addresses
        if addresses is not None:
            transport.info = extended_connection_info(
                addresses.client, self.factory.share_server(addresses.server),
                HTTPS if addresses.is_https else transport.info.scheme, addresses.vpc_endpoint_id,
                transport.info.tls_facts(),
            )
        self.take_over(self.next)
        if self.filter is not None:
            start_filter(<Connection>transport, self.filter)
        return 0

    cdef int refuse(self, str reason) except -1:
        cdef Transport transport = self.transport
        self.factory.log_refusal(transport.info.client, reason)
        return transport.close()

    cdef int on_peer_finished(self, bint behind_unread) except -1:
        if behind_unread:
            return 0
        # A part of a header can never be completed. Without a byte the peer has only checked the port.
        return self.refuse("the peer closed within the header") if self.since else self.transport.close()

    cdef double read_deadline(self) except -1:
        cdef double deadline = self.next.read_deadline(), own
        if self.since and self.factory.timeout_request_header:
            own = self.since + self.factory.timeout_request_header
            if deadline == 0 or own < deadline:
                deadline = own
        return deadline

    cdef int on_expired(self) except -1:
        return self.refuse("the header is incomplete") if self.since else self.transport.close()


cdef class ProxiedSessionFactory(SessionFactory):
    """Makes the first sessions of connections. sessions: makes those that follow the headers."""

    def __init__(
        self, SessionFactory sessions not None, *, str proxy_protocol, is_allowed, double timeout_request_header,
    ):
        self.sessions = sessions
        self.scheme = sessions.scheme
        self.versions = proxy_protocol
        self.is_allowed = is_allowed
        self.timeout_request_header = timeout_request_header

    cdef Session create(self, Transport transport):
        return self.create_before(transport, self.sessions.create(transport))

    cdef ProxiedSession create_before(self, Transport transport, Session after):
        cdef ProxiedSession session = ProxiedSession.__new__(ProxiedSession)
        session.factory = self
        # Cycles, since the connection owns its session. on_connection_lost() or take_over() ends them.
        session.transport = transport
        session.next = after
        return session

    cdef Session create_filtered(self, Connection connection, ByteFilterFactory filters, ByteFilter created):
        cdef Session after = filters.create_session(connection, created, self.sessions)
        cdef ProxiedSession session = self.create_before(connection, after)
        session.filter = created
        return session

    cdef object share_server(self, object server):
        """Returns the last object for an equal address, by whose identity gateways reuse entries."""
        if server != self.last_server:
            self.last_server = server
        return self.last_server

    cdef int log_refusal(self, object client, str reason) except -1:
        """Logs at most a line a second: a flood must not fill the log."""
        cdef double now = monotonic()
        self.refusals += 1
        if now - self.refusal_logged_at < REFUSAL_LOG_SECONDS:
            return 0
        logger.warning(
            "refused %d connection(s) without a valid PROXY header: %s: %s",
            self.refusals, f"{client[0]}:{client[1]}" if client else "unix socket", reason,
        )
        self.refusals = 0
        self.refusal_logged_at = now
        return 0

    cdef int drain(self, bint handover) except -1:
        return self.sessions.drain(handover)

    cdef int end_streams(self) except -1:
        return self.sessions.end_streams()

    cdef int reset_in_child(self) except -1:
        return self.sessions.reset_in_child()
