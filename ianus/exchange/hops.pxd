"""The grammar of reports about hops: lists of X-Forwarded fields, Forwarded (RFC 7239), X-Request-Start."""
from posix.strings cimport strncasecmp

from ianus.runtime.trusted_peers cimport IpAddress


cdef enum:
    MAX_HOPS = 32       # proxies between a client and this server; a list may have more elements


# A part of the value of a field, whose bytes the caller owns. at: NULL if there is none.
cdef struct Span:
    const char* at
    Py_ssize_t size


# A numeric address with its port, 0 if that is missing or obfuscated.
cdef struct Node:
    IpAddress address
    int port


# An element of Forwarded; `client` is its "for". is_valid: all of it could be read.
cdef struct Hop:
    bint is_valid
    Span client
    Span proto
    Span host


cdef Span span_of(bytes text) noexcept      # text: may be None; owns the bytes
# Returns whether text is an address: with a port if it is IPv4 or in brackets. "unknown" and obfuscated names are not.
cdef bint parse_node(Span text, Node* node) noexcept
# Removes the last element that is not empty from a comma-separated list. Returns whether there was one.
cdef bint take_last_element(Span* rest, Span* element) noexcept
# The element at an index, counted from the last one; the first one if there are fewer.
cdef Span element_at(Span elements, int index) noexcept
# Reads the lines of Forwarded fields, which are separated by LF. Returns the number of elements. Of these the last
# MAX_HOPS are in hops: element i is at i % MAX_HOPS.
cdef int parse_forwarded(Span lines, Hop* hops) noexcept
cdef int parse_port(Span text) noexcept     # 0 to 65535, -1 for anything else
# The Unix time of an X-Request-Start in seconds, milliseconds or microseconds; 0 for anything else
cdef double parse_request_start(Span text) noexcept


cdef inline bint is_word(Span text, const char* word, Py_ssize_t size) noexcept:
    """Returns whether the text is a word of this size, in either case."""
    return text.size == size and strncasecmp(text.at, word, size) == 0
