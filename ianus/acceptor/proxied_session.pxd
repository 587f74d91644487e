"""A session that reads the header of the PROXY protocol, and then lets another session take over."""
cimport cython
from ianus.acceptor.byte_filter cimport ByteFilter, ByteFilterFactory
from ianus.acceptor.connection cimport Connection
from ianus.exchange.base cimport Session, SessionFactory, Transport
from ianus.exchange.first_session cimport FirstSession


@cython.no_gc
cdef class ProxiedSession(FirstSession):
    cdef ProxiedSessionFactory factory
    cdef ByteFilter filter          # of the bytes after the header, or None
    cdef object addresses           # ProxiedAddresses of a complete header, or None
    cdef str refusal                # the reason to close, or None

    cdef int pass_header(self) except -1
    cdef int refuse(self, str reason) except -1


cdef class ProxiedSessionFactory(SessionFactory):
    cdef SessionFactory sessions    # makes the sessions that follow the headers
    cdef str versions               # of the protocol that are accepted: --proxy-protocol
    cdef object is_allowed          # called with the address of a peer: whether it may send a header
    cdef double timeout_request_header
    cdef object last_server         # that a header has reported
    cdef double refusal_logged_at   # CLOCK_MONOTONIC seconds
    cdef long long refusals         # that were not logged since

    # The first session of a connection whose filter starts after the header
    cdef Session create_filtered(self, Connection connection, ByteFilterFactory filters, ByteFilter created)
    cdef ProxiedSession create_before(self, Transport transport, Session after)
    cdef object share_server(self, object server)
    cdef int log_refusal(self, object client, str reason) except -1
