"""Addresses of sockets as the scope and the logs have them: (host, port), or (path, None) for a Unix socket."""
from ianus.acceptor.socket_api cimport sockaddr_storage


cdef class Addresses:
    cdef dict shared                # hosts and local addresses that connections have in common

    cdef object of_client(self, sockaddr_storage* address)  # (host, port), None for a Unix socket
    cdef object of_server(self, int fd)     # the address that a client connected to, asked of its socket
    cdef object share(self, object address)


# The scope's "server" for a listener, None if it listens on all addresses.
cdef object server_address(object sock)
