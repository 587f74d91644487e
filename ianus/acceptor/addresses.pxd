"""Addresses of sockets as the scope and the logs have them: (host, port), or (path, None) for a Unix socket."""
from ianus.acceptor.socket_api cimport sockaddr_storage


# How the address of a listener fits to the local address of a connection
cdef enum:
    NO_MATCH = 0
    WILDCARD = 1            # the listener is bound to all addresses of the port
    EXACT = 2


cdef class Addresses:
    cdef dict shared                # hosts and local addresses that connections have in common

    cdef object of_client(self, sockaddr_storage* address)  # (host, port), None for a Unix socket
    cdef object of_server(self, int fd)     # the address that a client connected to, asked of its socket
    cdef object share(self, object address)


# Whether a listener may have accepted a connection. Both structs are filled with zeros after the address.
cdef int match_addresses(const sockaddr_storage* listener, const sockaddr_storage* local) noexcept
# The scope's "server" for a listener, None if it listens on all addresses.
cdef object server_address(object sock)
