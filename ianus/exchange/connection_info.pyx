"""See connection_info.pxd. Compiled because the gateways read it for each request."""
cimport cython
import sys

from ianus.exchange.tls_facts cimport TlsFacts


cdef str HTTP = sys.intern("http")
cdef str HTTPS = sys.intern("https")


# No garbage collector: it refers to strings, tuples and the facts of TLS. There is one for each idle connection.
@cython.no_gc
cdef class ConnectionInfo:
    cdef str websocket_scheme(self):
        # RFC 6455 section 3
        return "ws" if self.scheme is HTTP else "wss"

    cdef str vpc_endpoint_id(self):
        return None

    cdef TlsFacts tls_facts(self):
        return None


@cython.no_gc
cdef class ExtendedConnectionInfo(ConnectionInfo):
    cdef str vpc_endpoint_id(self):
        return self.endpoint_id

    cdef TlsFacts tls_facts(self):
        return self.tls


cdef ConnectionInfo connection_info(object client, object server, str scheme):
    """Makes one. scheme: HTTP or HTTPS."""
    cdef ConnectionInfo info = ConnectionInfo.__new__(ConnectionInfo)
    info.client = client
    info.server = server
    info.scheme = scheme
    return info


cdef ConnectionInfo extended_connection_info(
    object client, object server, str scheme, str vpc_endpoint_id, TlsFacts tls
):
    """Makes one with facts that a proxy has reported, or with those of TLS."""
    cdef ExtendedConnectionInfo info
    if vpc_endpoint_id is None and tls is None:
        return connection_info(client, server, scheme)
    info = ExtendedConnectionInfo.__new__(ExtendedConnectionInfo)
    info.client = client
    info.server = server
    info.scheme = scheme
    info.endpoint_id = vpc_endpoint_id
    info.tls = tls
    return info
