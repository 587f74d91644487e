"""See connection_info.pxd. Compiled because the gateways read it for each request."""
cimport cython
import sys


cdef str HTTP = sys.intern("http")
cdef str HTTPS = sys.intern("https")


# No garbage collector: it refers to strings and tuples only, and there is one for each idle connection.
@cython.no_gc
cdef class ConnectionInfo:
    cdef str websocket_scheme(self):
        # RFC 6455 section 3
        return "ws" if self.scheme is HTTP else "wss"


cdef ConnectionInfo connection_info(object client, object server, str scheme):
    """Makes one. scheme: HTTP or HTTPS."""
    cdef ConnectionInfo info = ConnectionInfo.__new__(ConnectionInfo)
    info.client = client
    info.server = server
    info.scheme = scheme
    return info
