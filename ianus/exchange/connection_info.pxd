"""Facts of a connection that requests need: addresses and scheme."""
cimport cython


@cython.no_gc
cdef class ConnectionInfo:
    """Immutable. A request of which a proxy reports other facts gets an object of its own."""
    cdef readonly object client         # (host, port) of the peer, or None for a Unix socket
    cdef readonly object server         # (host, port) or (path, None) that the peer connected to
    cdef readonly str scheme            # HTTP or HTTPS (below)

    cdef str websocket_scheme(self)     # the scheme of a WebSocket over this connection


# The objects of `scheme`, so that identity is enough to compare them.
cdef str HTTP, HTTPS


cdef ConnectionInfo connection_info(object client, object server, str scheme)
