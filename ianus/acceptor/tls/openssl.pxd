"""The direct engine: filters over the functions of the OpenSSL that Python has loaded."""
cimport cython

from ianus.acceptor.tls.base cimport TlsFilter, TlsFilterFactory
from ianus.acceptor.tls.libssl cimport BIO, BIO_METHOD, SSL, SSL_CTX


cdef struct ReceivedBytes:
    # Not decoded yet. Borrowed from the factory's buffer, for the time of one decode().
    const char* data
    Py_ssize_t size


@cython.final
cdef class OpenSslEngine:
    cdef readonly str library       # the text of its version
    cdef public object clock        # returns POSIX seconds, for the rotation of ticket keys


@cython.final
cdef class TicketKeys:
    """The keys of session tickets in one period. Immutable."""
    cdef unsigned char name[16]
    cdef unsigned char cipher_key[32]
    cdef unsigned char mac_key[32]


@cython.final
cdef class OpenSslFilterFactory(TlsFilterFactory):
    cdef OpenSslEngine engine
    cdef SSL_CTX* context           # owned by this object, as `bio` and `bio_method` are
    cdef BIO_METHOD* bio_method
    cdef BIO* bio                   # shared by all connections: one call of a filter uses it at a time
    cdef ReceivedBytes received     # the input of `bio`; its output is `encoded`
    cdef char* gathered             # malloc'ed, owned by this object: small pieces of output of one record
    cdef bytes protocols            # as sent by ALPN
    cdef object authorities         # ClientAuthorities, or None
    cdef long long ticket_period    # of `ticket_keys`
    cdef TicketKeys ticket_keys     # for new tickets
    cdef TicketKeys last_ticket_keys    # accepted until their tickets have expired
    # Of the handshake step that is being made: an authority validates a name, by the LoadedPair
    cdef bint is_challenge
    cdef object challenge

    cdef int set_client_verification(self) except -1
    cdef int use_certificates(self, SSL* ssl) except -1
    cdef int rotate_ticket_keys(self) except -1
    cdef object find_challenge(self, SSL* ssl)
    cdef object find_pair(self, SSL* ssl, str server_name)


@cython.final
@cython.no_gc
cdef class OpenSslFilter(TlsFilter):
    cdef SSL* ssl                   # owned by this object; NULL before the first byte

    cdef int open(self) except -1
    cdef int handshake(self) except -2
    cdef bint write(self, const char* data, Py_ssize_t size) except -1
