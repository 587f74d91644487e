"""The part of TLS that does not depend on the library: filters, their factory, and the session of a handshake."""
cimport cython

from ianus.acceptor.byte_filter cimport ByteFilter, ByteFilterFactory
from ianus.exchange.base cimport Session, SessionFactory, Transport, flag


@cython.no_gc
cdef class TlsFilter(ByteFilter):
    cdef flag begun                 # a byte of the client was received
    cdef str protocol               # by ALPN (RFC 7301): "h2", "http/1.1", "acme-tls/1" (RFC 8737), or None
    cdef str server_name            # by SNI (RFC 6066 section 3), lower case, or None
    cdef str failure                # the reason why the handshake has failed, or None

    # The TlsFacts of a connection, after its handshake
    cdef object facts(self)

    # For subclasses, with the first bytes of a handshake: whether they are plain HTTP. Then they are answered.
    cdef bint refuse_plain_http(self, const char* data, Py_ssize_t size) except -1


cdef class TlsFilterFactory(ByteFilterFactory):
    cdef readonly object certificates   # a CertificateStore (acceptor/tls/certificates)
    cdef readonly object options        # TlsOptions
    cdef readonly dict failures         # number of failed handshakes by reason
    cdef dict shared_facts          # TlsFacts by their values
    cdef readonly Py_ssize_t handshakes  # under way
    cdef double timeout_handshake       # seconds from the start of the connection, 0 = no limit
    cdef Py_ssize_t limit_handshakes    # under way, at which accepting pauses; 0 = no limit
    cdef bint handshake_log
    cdef bint forked                # this is the child of a fork
    cdef double failure_logged_at       # CLOCK_MONOTONIC seconds
    cdef long long unlogged_failures

    # The TlsFacts with these values
    cdef object find_facts(
        self, int version, str protocol_name, object cipher_suite, str cipher_name, str server_name,
        str server_certificate, tuple client_chain
    )
    cdef int note_failure(self, object client, str reason) except -1
    cdef int end_handshake(self) except -1


@cython.no_gc
cdef class HandshakeSession(Session):
    cdef TlsFilterFactory factory
    cdef TlsFilter filter
    cdef SessionFactory sessions    # makes the session that follows the handshake
    cdef double since               # CLOCK_MONOTONIC seconds of the start of the connection
    cdef double drained_at          # ... and since which the server stops, 0 = it does not
    cdef flag counted               # it counts as a handshake that is under way

    cdef int take_over(self) except -1
    cdef int uncount(self) except -1
    cdef int note_failure(self, Transport transport, str reason) except -1
