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

    cdef str vpc_endpoint_id(self):
        return None


@cython.no_gc
cdef class EndpointConnectionInfo(ConnectionInfo):
    cdef str vpc_endpoint_id(self):
        return self.endpoint_id


cdef ConnectionInfo connection_info(object client, object server, str scheme):
    """Makes one. scheme: HTTP or HTTPS."""
    cdef ConnectionInfo info = ConnectionInfo.__new__(ConnectionInfo)
    info.client = client
    info.server = server
    info.scheme = scheme
    return info


cdef ConnectionInfo proxied_connection_info(object client, object server, str scheme, str vpc_endpoint_id):
    """Makes one of the facts that a proxy has reported."""
    cdef EndpointConnectionInfo info
    if vpc_endpoint_id is None:
        return connection_info(client, server, scheme)
    info = EndpointConnectionInfo.__new__(EndpointConnectionInfo)
    info.client = client
    info.server = server
    info.scheme = scheme
    info.endpoint_id = vpc_endpoint_id
    return info
