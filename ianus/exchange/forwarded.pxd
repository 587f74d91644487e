"""Forwarded data: facts of requests that trusted proxies report in fields."""
cimport cython
from ianus.codec.base cimport Request
from ianus.exchange.connection_info cimport ConnectionInfo
from ianus.exchange.hops cimport Hop, Node, Span
from ianus.runtime.trusted_peers cimport TrustedPeers


# The facts of one request as far as they are believed. Spans are NULL, and texts of fields, if there is none.
cdef struct Report:
    bint has_client
    Node client
    Span proto
    Span host
    Span port
    Span prefix


@cython.no_gc
cdef class ForwardedFacts:
    """The facts of a request for its exchange."""
    cdef ConnectionInfo connection  # of the client, as far as proxies have reported it
    cdef str prefix                 # part of the path that a proxy has removed, or None
    cdef double request_start       # Unix time at which a proxy received the request; 0 = not known


cdef class ForwardedRules:
    cdef TrustedPeers peers
    cdef bint uses_forwarded        # the family: Forwarded, else X-Forwarded-...
    # The fields that are believed
    cdef bint believes_for, believes_proto, believes_host, believes_port, believes_prefix
    cdef bint strips                # the application does not get forwarding fields of other peers
    cdef bint ignored_logged

    # Reads the forwarding fields of a request, of which it has some. Returns None if the request is that of its
    # connection. May replace request.headers, and changes Host if a proxy reports another one.
    cdef ForwardedFacts read(self, Request request, ConnectionInfo connection)
    cdef int find_client(self, Span elements, Report* report) noexcept
    cdef int read_x_forwarded(self, list values, Report* report) except -1
    cdef int read_forwarded(self, bytes lines, Report* report) except -1
    cdef ConnectionInfo client_connection(self, Request request, ConnectionInfo connection, const Report* report)
    cdef int log_ignored(self, ConnectionInfo connection) except -1
