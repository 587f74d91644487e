"""Addresses as numbers, and the peers that an operator trusts.

The settings have checked each entry of a list with Python's ipaddress (settings/proxy_values). Here an address is
compared as bytes, since a proxy's requests each have several addresses.

Compiled because requests with forwarded data pass here: 395 instructions for two addresses.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memmove


cdef extern from "<arpa/inet.h>" nogil:
    int inet_pton(int family, const char* text, void* address)
    const char* inet_ntop(int family, const void* address, char* text, unsigned int size)
    enum:
        AF_INET
        AF_INET6

cdef enum:
    MAX_ADDRESS_BYTES = 45  # of the longest text, an IPv6 address that ends in an IPv4 address
    MAX_VERDICTS = 1024     # hosts whose verdict is remembered

# RFC 4291 section 2.5.5.2
cdef const char* V4_MAPPED = b"\0\0\0\0\0\0\0\0\0\0\xff\xff"


cdef bint parse_ip(const char* text, Py_ssize_t size, IpAddress* address) noexcept:
    cdef char terminated[MAX_ADDRESS_BYTES + 1]
    cdef Py_ssize_t i
    if size > MAX_ADDRESS_BYTES:
        return False
    # inet_pton() takes a string that ends with NUL. A NUL inside would hide the rest from it.
    for i in range(size):
        if text[i] == 0:
            return False
        terminated[i] = text[i]
    terminated[size] = 0
    # It accepts no leading zeros, which some programs read as octal, and no zone.
    if inet_pton(AF_INET, terminated, address.octets) == 1:
        address.size = 4
        return True
    if inet_pton(AF_INET6, terminated, address.octets) != 1:
        return False
    address.size = 16
    if memcmp(address.octets, V4_MAPPED, 12) == 0:
        # One client must not have two addresses.
        memmove(address.octets, address.octets + 12, 4)
        address.size = 4
    return True


cdef str ip_text(const IpAddress* address):
    cdef char text[MAX_ADDRESS_BYTES + 1]
    # It cannot fail: the family is valid, and the buffer holds any address.
    inet_ntop(AF_INET if address.size == 4 else AF_INET6, address.octets, text, sizeof(text))
    return text.decode("ascii")


cdef bint is_within(const Network* network, const IpAddress* address) noexcept:
    cdef int whole = network.bits >> 3, rest = network.bits & 7
    # ::/0 has no IPv4 address: a list of IPv6 networks is not about v4-mapped clients of a listener on [::].
    if network.first.size != address.size or memcmp(network.first.octets, address.octets, whole):
        return False
    return not rest or not (network.first.octets[whole] ^ address.octets[whole]) >> (8 - rest)


cdef class TrustedPeers:
    """A list of peers that are trusted.

    peers: addresses and networks such as 10.0.0.0/8, "unix" for peers of Unix sockets, "*" for any peer.
    """

    def __init__(self, peers):
        cdef bytes text, bits
        cdef list entries = list(peers)
        cdef Network* network
        self.verdicts = {}
        self.networks = <Network*>malloc(max(len(entries), 1) * sizeof(Network))
        if self.networks == NULL:
            raise MemoryError
        for entry in entries:
            if entry == "*":
                self.has_all = True
            elif entry == "unix":
                self.has_unix = True
            else:
                text, _, bits = (<str>entry).encode("ascii").partition(b"/")
                network = &self.networks[self.count]
                if not parse_ip(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), &network.first):
                    raise ValueError(f"{entry!r} is not an address or a network")
                network.bits = int(bits) if bits else 8 * network.first.size
                # A network of v4-mapped addresses is one of IPv4 addresses.
                if network.first.size == 4 and b":" in text and bits:
                    network.bits -= 96
                self.count += 1

    def __dealloc__(self):
        free(self.networks)

    def __contains__(self, client) -> bool:
        return self.has_client(client)

    cdef bint has_client(self, object client) except -1:
        cdef IpAddress address
        cdef PyObject* verdict
        cdef bytes host
        cdef bint trusted
        if self.has_all:
            return True
        if client is None:
            return self.has_unix
        # Proxies have few addresses, whose strings connections share, so their hashes are known.
        verdict = PyDict_GetItemWithError(self.verdicts, client[0])
        if verdict != NULL:
            return <object>verdict is True
        host = (<str>client[0]).encode("utf-8", "replace")
        trusted = parse_ip(PyBytes_AS_STRING(host), PyBytes_GET_SIZE(host), &address) and self.has_address(&address)
        # Clients with many addresses must not fill the memory.
        if len(self.verdicts) >= MAX_VERDICTS:
            self.verdicts.clear()
        self.verdicts[client[0]] = trusted
        return trusted

    cdef bint has_address(self, const IpAddress* address) noexcept:
        cdef Py_ssize_t i
        for i in range(self.count):
            if is_within(&self.networks[i], address):
                return True
        return False
