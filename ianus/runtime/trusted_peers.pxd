"""Addresses as numbers, and the peers that an operator trusts: addresses, networks, Unix sockets."""

# An IPv4 address has 4 bytes. A v4-mapped address (RFC 4291 section 2.5.5.2) is always held as the IPv4 address.
cdef struct IpAddress:
    int size                        # 4 or 16
    unsigned char[16] octets


# Returns whether text is a numeric address without brackets, port and zone.
cdef bint parse_ip(const char* text, Py_ssize_t size, IpAddress* address) noexcept
# Returns the one spelling of an address: IPv4, or IPv6 as RFC 5952 has it.
cdef str ip_text(const IpAddress* address)


cdef struct Network:
    IpAddress first
    int bits                        # of the prefix


cdef class TrustedPeers:
    cdef readonly bint has_all      # "*": any peer
    cdef bint has_unix              # peers of Unix sockets
    cdef Network* networks          # malloc'ed, owned by this object
    cdef Py_ssize_t count
    cdef dict verdicts              # by the host of a peer

    # client: (host, port) of a peer, or None for a Unix socket
    cdef bint has_client(self, object client) except -1
    cdef bint has_address(self, const IpAddress* address) noexcept   # regardless of has_all
