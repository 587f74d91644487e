"""Addresses of sockets as the scope and the logs have them: (host, port), or (path, None) for a Unix socket."""
import socket

from libc.string cimport memcmp

from ianus.acceptor.socket_api cimport (
    AF_INET, AF_INET6, getsockname, inet_ntop, ntohs, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t,
)


cdef enum:
    MAX_SHARED = 1024       # addresses that connections share

# RFC 4291 section 2.5.5.2: the first bytes of an IPv4 address in an IPv6 socket.
cdef const char* V4_MAPPED = b"\0\0\0\0\0\0\0\0\0\0\xff\xff"


# The address of a listener on all interfaces, `::`
cdef const char* ANY_ADDRESS = b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"


cdef class Addresses:
    """The addresses of one reactor's connections. Equal ones are one object: many connections have the same host."""

    def __cinit__(self):
        self.shared = {}

    cdef object of_client(self, sockaddr_storage* address):
        # Only the host is shared: the port differs for each connection of a client.
        cdef object client = format_address(address)
        return None if client is None else (self.share(client[0]), client[1])

    cdef object of_server(self, int fd):
        cdef sockaddr_storage address
        cdef socklen_t size = sizeof(address)
        # The connection is served without its local address then.
        if getsockname(fd, <sockaddr*>&address, &size) < 0:
            return None
        return self.share(format_address(&address))

    cdef object share(self, object address):
        # Cleared as a whole: the tuples and strings live on in the connections that have them.
        if len(self.shared) >= MAX_SHARED:
            self.shared.clear()
        return self.shared.setdefault(address, address)


cdef object format_address(sockaddr_storage* address):
    """Returns (host, port), or None for a Unix socket."""
    cdef char text[64]
    cdef unsigned char* ipv6
    if address.ss_family == AF_INET:
        # It cannot fail: the family is valid, and 64 bytes hold any address.
        inet_ntop(AF_INET, &(<sockaddr_in*>address).sin_addr, text, sizeof(text))
        return (text.decode("ascii"), ntohs((<sockaddr_in*>address).sin_port))
    if address.ss_family == AF_INET6:
        ipv6 = (<sockaddr_in6*>address).sin6_addr.s6_addr
        if memcmp(ipv6, V4_MAPPED, 12) == 0:
            # A listener on [::] gets IPv4 clients in this form. Applications and logs should see one form of an
            # address.
            inet_ntop(AF_INET, ipv6 + 12, text, sizeof(text))
        else:
            inet_ntop(AF_INET6, ipv6, text, sizeof(text))
        return (text.decode("ascii"), ntohs((<sockaddr_in6*>address).sin6_port))
    return None


cdef object server_address(object sock):
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        # Abstract names are bytes that start with a NUL.
        return (name if isinstance(name, str) else "@" + name[1:].decode("utf-8", "replace"), None)
    # Each connection has its own local address then, which of_server() asks for.
    if name[0] in ("0.0.0.0", "::"):
        return None
    return (name[0], name[1])


cdef int match_addresses(const sockaddr_storage* listener, const sockaddr_storage* local) noexcept:
    cdef const sockaddr_in* ipv4 = <const sockaddr_in*>listener
    cdef const sockaddr_in6* ipv6 = <const sockaddr_in6*>listener
    if listener.ss_family != local.ss_family:
        return NO_MATCH
    if listener.ss_family == AF_INET:
        if ipv4.sin_port != (<const sockaddr_in*>local).sin_port:
            return NO_MATCH
        if ipv4.sin_addr.s_addr == (<const sockaddr_in*>local).sin_addr.s_addr:
            return EXACT
        return WILDCARD if ipv4.sin_addr.s_addr == 0 else NO_MATCH
    if listener.ss_family == AF_INET6:
        if ipv6.sin6_port != (<const sockaddr_in6*>local).sin6_port:
            return NO_MATCH
        if memcmp(ipv6.sin6_addr.s6_addr, (<const sockaddr_in6*>local).sin6_addr.s6_addr, 16) == 0:
            return EXACT
        return WILDCARD if memcmp(ipv6.sin6_addr.s6_addr, ANY_ADDRESS, 16) == 0 else NO_MATCH
    # A Unix socket: the path, or the abstract name.
    return EXACT if memcmp(listener, local, sizeof(sockaddr_storage)) == 0 else NO_MATCH
