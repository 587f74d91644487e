"""Facts of a connection that requests need: addresses, scheme, and those of TLS."""
cimport cython

from ianus.exchange.tls_facts cimport TlsFacts


@cython.no_gc
cdef class ConnectionInfo:
    """Immutable. A request of which a proxy reports other facts gets an object of its own."""
    cdef readonly object client         # (host, port) of the peer, or None for a Unix socket
    cdef readonly object server         # (host, port) or (path, None) that the peer connected to
    cdef readonly str scheme            # HTTP or HTTPS (below)

    cdef str websocket_scheme(self)     # the scheme of a WebSocket over this connection
    # The VPC endpoint of AWS of the client, as a proxy has reported it; None for all other connections
    cdef str vpc_endpoint_id(self)
    cdef TlsFacts tls_facts(self)       # of a connection with TLS; None for all others


@cython.no_gc
cdef class ExtendedConnectionInfo(ConnectionInfo):
    """The facts of a connection with TLS, or from a VPC endpoint. Others have no space for these."""
    cdef str endpoint_id
    cdef TlsFacts tls


# The objects of `scheme`, so that identity is enough to compare them.
cdef str HTTP, HTTPS


cdef ConnectionInfo connection_info(object client, object server, str scheme)
# vpc_endpoint_id, tls: None if there is none
cdef ConnectionInfo extended_connection_info(
    object client, object server, str scheme, str vpc_endpoint_id, TlsFacts tls
)
