"""The handshake of a TLS connection, whichever library makes it.

Rules:
- A handshake has one deadline, from the start of the connection. No byte of the client extends it.
- The session of HTTP is made after the handshake, when the protocol and the name of the server are known.
- A failure closes the connection after the alert is sent. It is counted by its reason, and logged at most once a
  second: a flood must not fill the log. A connection without a byte is not a failure, since health checks connect only.
- The number of handshakes that are under way can be limited. Further clients wait in the backlog of the listener.

Compiled because connections call it.
"""
cimport cython
from libc.string cimport memcmp

from ianus.acceptor.byte_filter cimport ByteFilter, ByteFilterFactory, append_encoded
from ianus.exchange.base cimport Session, SessionFactory, Transport
from ianus.exchange.connection_info cimport ConnectionInfo, extended_connection_info
from ianus.runtime.clock cimport monotonic

from ianus.acceptor.tls.challenge_files import CHALLENGE_PROTOCOL
from ianus.exchange.tls_facts import TlsFacts
from ianus.telemetry.logger import logger


cdef enum:
    MAX_SHARED_FACTS = 256

cdef double FAILURE_LOG_SECONDS = 1.0       # between two log lines about failed handshakes
# For a client to read the alert before the connection is closed
cdef double ALERT_SECONDS = 2.0
# For a handshake that is under way when the server stops
cdef double DRAIN_SECONDS = 2.0

cdef tuple HTTP_METHODS = (
    b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ",
    b"PRI ", b"CONNECT ",
)

cdef bytes PLAIN_HTTP_TEXT = b"This port takes HTTPS only: use https:// in place of http://\n"
cdef bytes PLAIN_HTTP_RESPONSE = (
    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(PLAIN_HTTP_TEXT), PLAIN_HTTP_TEXT)
)


@cython.no_gc
cdef class TlsFilter(ByteFilter):
    cdef object facts(self):
        raise NotImplementedError

    cdef bint refuse_plain_http(self, const char* data, Py_ssize_t size) except -1:
        cdef bytes method
        # A handshake record starts with 22 (RFC 8446 section 5.1), so one comparison is enough for the others.
        if size and data[0] == 22:
            return False
        for method in HTTP_METHODS:
            if size >= len(method) and memcmp(data, <const char*>method, len(method)) == 0:
                self.failure = "plain HTTP on a port for TLS"
                if append_encoded(&self.factory.encoded, PLAIN_HTTP_RESPONSE, len(PLAIN_HTTP_RESPONSE)) < 0:
                    raise MemoryError
                return True
        return False


cdef class TlsFilterFactory(ByteFilterFactory):
    """certificates: a CertificateStore. options: TlsOptions."""

    def __init__(self, certificates, options):
        self.certificates = certificates
        self.options = options
        self.failures = {}
        self.shared_facts = {}
        self.timeout_handshake = options.timeout_handshake
        self.limit_handshakes = options.limit_handshakes
        self.handshake_log = options.handshake_log

    cdef Session create_session(self, Transport transport, ByteFilter created, SessionFactory sessions):
        cdef HandshakeSession session = HandshakeSession.__new__(HandshakeSession)
        session.factory = self
        session.filter = <TlsFilter?>created
        session.sessions = sessions
        # A cycle, since the connection owns its session. on_connection_lost() or run() ends it.
        session.transport = transport
        session.since = monotonic()
        session.counted = True
        self.handshakes += 1
        return session

    cdef bint may_accept(self) noexcept:
        return not self.limit_handshakes or self.handshakes < self.limit_handshakes

    cdef int end_handshake(self) except -1:
        cdef object on_capacity = self.on_capacity
        self.handshakes -= 1
        if on_capacity is not None and self.may_accept():
            self.on_capacity = None
            on_capacity()
        return 0

    cdef object find_facts(
        self, int version, str protocol_name, object cipher_suite, str cipher_name, str server_name,
        str server_certificate, tuple client_chain
    ):
        """Returns the facts with these values. Connections whose clients have no certificate share them."""
        cdef tuple key = (version, cipher_name, server_name, server_certificate)
        cdef object facts = None if client_chain else self.shared_facts.get(key)
        if facts is not None:
            return facts
        facts = TlsFacts(
            version=version,
            protocol_name=protocol_name,
            cipher_suite=cipher_suite,
            cipher_name=cipher_name,
            server_name=server_name,
            server_certificate=server_certificate,
            client_chain=client_chain,
            client_error=None,
        )
        if not client_chain:
            # Names are the clients' choice, so their number has a limit.
            if len(self.shared_facts) >= MAX_SHARED_FACTS:
                self.shared_facts.clear()
            self.shared_facts[key] = facts
        return facts

    cdef int reset_in_child(self) except -1:
        self.forked = True
        return 0

    cdef int note_failure(self, object client, str reason) except -1:
        cdef double now = monotonic()
        if self.forked:
            # The handshake is the parent's.
            return 0
        # The reasons are those of the library, so their number is limited.
        self.failures[reason] = self.failures.get(reason, 0) + 1
        self.unlogged_failures += 1
        if now - self.failure_logged_at < FAILURE_LOG_SECONDS:
            return 0
        logger.info(
            "failed TLS handshakes: %d, client %s: %s",
            self.unlogged_failures, format_client(client), reason,
        )
        self.unlogged_failures = 0
        self.failure_logged_at = now
        return 0


cdef str format_client(object client):
    return f"{client[0]}:{client[1]}" if client else "unix socket"


@cython.no_gc
cdef class HandshakeSession(Session):
    cdef Py_ssize_t received(self, const char* data, Py_ssize_t size) except -1:
        # run() has replaced this session before any byte is decoded.
        return size

    cdef int run(self) except -1:
        cdef Transport transport = self.transport
        if self.filter.failure is not None:
            self.note_failure(transport, self.filter.failure)
            # With time for the client to read the alert, which a reset could destroy.
            return transport.finish()
        # Called for the end of the socket, too.
        return 0 if self.filter.handshaking else self.take_over()

    cdef int take_over(self) except -1:
        """Gives the connection to the session of its protocol."""
        cdef Transport transport = self.transport
        cdef ConnectionInfo info = transport.info
        cdef object facts
        self.uncount()
        if self.filter.protocol == CHALLENGE_PROTOCOL:
            # RFC 8737 section 3: the certificate is all that the authority wants.
            logger.info(
                "answered a challenge of an authority: client %s, name: %s", format_client(info.client),
                self.filter.server_name,
            )
            return transport.finish()
        facts = self.filter.facts()
        transport.info = extended_connection_info(info.client, info.server, info.scheme, info.vpc_endpoint_id(), facts)
        if self.factory.handshake_log:
            logger.info(
                "TLS handshake: client %s: %s, %s, name: %s", format_client(info.client), facts.protocol_name,
                facts.cipher_name, facts.server_name,
            )
        transport.switch_session(self.sessions.create_negotiated(transport, self.filter.protocol))
        # Nothing calls this session any more.
        self.transport = None
        return 0

    cdef int uncount(self) except -1:
        if self.counted:
            self.counted = False
            self.factory.end_handshake()
        return 0

    cdef int note_failure(self, Transport transport, str reason) except -1:
        if self.counted:
            self.uncount()
            self.factory.note_failure(transport.info.client, reason)
        return 0

    cdef bint wants_read(self) noexcept:
        cdef double timeout = self.factory.timeout_handshake
        # After its time no further step is made.
        return not timeout or monotonic() < self.since + timeout

    cdef int on_peer_finished(self, bint behind_unread) except -1:
        return 0 if behind_unread else self.transport.close()

    cdef int on_connection_lost(self) except -1:
        cdef Transport transport = self.transport
        self.transport = None
        # A client that has sent nothing was perhaps a health check.
        return self.note_failure(transport, "the client closed the connection") if self.filter.begun else self.uncount()

    cdef int drain(self) except -1:
        # The client was accepted, so it gets the time for one request. Usually a handshake takes some milliseconds.
        self.drained_at = monotonic()
        return self.transport.reconsider()

    cdef bint is_busy(self) noexcept:
        return self.counted

    cdef double read_deadline(self) except -1:
        cdef double deadline = 0, drained
        if self.factory.timeout_handshake:
            deadline = self.since + self.factory.timeout_handshake
        if self.drained_at:
            drained = self.drained_at + DRAIN_SECONDS
            if deadline == 0 or drained < deadline:
                deadline = drained
        return deadline

    cdef int on_expired(self) except -1:
        if self.filter.begun:
            self.note_failure(self.transport, "not complete within timeout-tls-handshake")
        # Without an answer: an alert would be one within a handshake that the client continues.
        return self.transport.close()

    cdef double write_timeout(self) noexcept:
        return ALERT_SECONDS

    cdef bint expects_input(self) noexcept:
        return True

    cdef double discard_deadline(self, double since, double last, long long received) noexcept:
        return since + ALERT_SECONDS
