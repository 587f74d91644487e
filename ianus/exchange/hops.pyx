"""The grammar of reports about hops. Text that does not follow it has no meaning: nothing here guesses or raises.

Rule: lists are read from the right. Only the elements that trusted proxies have appended are there; those further left
were perhaps sent by the client.

Compiled because each request of a proxy passes here: 399 instructions for two addresses and a scheme.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memchr

from ianus.codec.fields cimport TOKEN
from ianus.runtime.trusted_peers cimport parse_ip


cdef Span span_of(bytes text) noexcept:
    if text is None:
        return Span(NULL, 0)
    return Span(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))


cdef bint parse_node(Span text, Node* node) noexcept:
    """RFC 7239 section 6; in X-Forwarded-For an IPv6 address has no brackets, except before a port."""
    cdef const char* end
    cdef const char* colon
    cdef Span host = text, port = Span(NULL, 0)
    if text.size and text.at[0] == c'[':
        end = <const char*>memchr(text.at, c']', text.size)
        if end == NULL:
            return False
        host = Span(text.at + 1, end - text.at - 1)
        port = Span(end + 1, text.size - host.size - 2)
        # An IPv4 address has no brackets.
        if memchr(host.at, c':', host.size) == NULL:
            return False
    else:
        colon = <const char*>memchr(text.at, c':', text.size) if text.size else NULL
        # More than one colon: an IPv6 address, which cannot be distinguished from one with a port.
        if colon != NULL and memchr(colon + 1, c':', text.at + text.size - colon - 1) == NULL:
            host.size = colon - text.at
            port = Span(colon, text.size - host.size)
    node.port = 0
    if port.size:
        if port.at[0] != c':' or port.size == 1:
            return False
        port = Span(port.at + 1, port.size - 1)
        # An obfport (section 6.3) starts with an underscore. The address before it is valid.
        if port.at[0] != c'_':
            node.port = parse_port(port)
            if node.port < 0:
                return False
    return parse_ip(host.at, host.size, &node.address)


cdef int parse_port(Span text) noexcept:
    cdef int port = 0
    cdef Py_ssize_t i
    # At most five digits, so that it cannot overflow.
    if not 1 <= text.size <= 5:
        return -1
    for i in range(text.size):
        if not c'0' <= text.at[i] <= c'9':
            return -1
        port = port * 10 + text.at[i] - c'0'
    return port if port <= 65535 else -1


cdef inline bint is_space(char c) noexcept:
    """OWS (RFC 9110 section 5.6.3)."""
    return c == c' ' or c == c'\t'


cdef bint take_last_element(Span* rest, Span* element) noexcept:
    cdef Py_ssize_t start, end = rest.size
    while end > 0:
        start = end
        while start > 0 and rest.at[start - 1] != c',':
            start -= 1
        element.at = rest.at + start
        element.size = end - start
        while element.size and is_space(element.at[0]):
            element.at += 1
            element.size -= 1
        while element.size and is_space(element.at[element.size - 1]):
            element.size -= 1
        # Before the comma, if there is one.
        end = rest.size = max(start - 1, <Py_ssize_t>0)
        # RFC 9110 section 5.6.1.2: empty elements do not count.
        if element.size:
            return True
    return False


cdef Span element_at(Span elements, int index) noexcept:
    cdef Span element = Span(NULL, 0), found = Span(NULL, 0)
    while index >= 0 and take_last_element(&elements, &element):
        found = element
        index -= 1
    return found


cdef int parse_forwarded(Span lines, Hop* hops) noexcept:
    """RFC 7239 section 4. One proxy appends an element to a line, another one appends a line."""
    cdef Py_ssize_t i = 0
    cdef int count = 0
    while i < lines.size:
        if lines.at[i] == c',' or lines.at[i] == c'\n' or is_space(lines.at[i]):
            i += 1
            continue
        i = parse_hop(lines, i, &hops[count % MAX_HOPS])
        count += 1
    return count


cdef Py_ssize_t parse_hop(Span lines, Py_ssize_t i, Hop* hop) noexcept:
    """Reads one element, from its first byte. Returns the position after it."""
    cdef Span name, value
    hop.client = hop.proto = hop.host = Span(NULL, 0)
    hop.is_valid = True
    while True:
        while i < lines.size and (is_space(lines.at[i]) or lines.at[i] == c';'):
            i += 1
        if i == lines.size or lines.at[i] == c',' or lines.at[i] == c'\n':
            return i
        name.at = lines.at + i
        while i < lines.size and TOKEN[<unsigned char>lines.at[i]]:
            i += 1
        name.size = lines.at + i - name.at
        if name.size == 0 or i == lines.size or lines.at[i] != c'=' or not parse_value(lines, i + 1, &value, &i):
            break
        note_pair(name, value, hop)
        while i < lines.size and is_space(lines.at[i]):
            i += 1
        if i < lines.size and lines.at[i] not in (c';', c',', c'\n'):
            break
    # The end of the element cannot be known: the client may have sent an open quote, after which a proxy has appended
    # its element. So the rest of the line has no meaning, and nothing to its left is believed.
    hop.is_valid = False
    while i < lines.size and lines.at[i] != c'\n':
        i += 1
    return i


cdef bint parse_value(Span lines, Py_ssize_t i, Span* value, Py_ssize_t* end) noexcept:
    """A token or a quoted string, without its quotes. Returns whether it is complete."""
    value.at = lines.at + i
    end[0] = i
    if i < lines.size and lines.at[i] == c'"':
        i += 1
        value.at += 1
        while i < lines.size and lines.at[i] != c'"' and lines.at[i] != c'\n':
            # A quoted pair (RFC 9110 section 5.6.4) stays as it is. No address or host has one.
            i += 2 if lines.at[i] == c'\\' else 1
        if i >= lines.size or lines.at[i] != c'"':
            return False
        value.size = lines.at + i - value.at
        end[0] = i + 1
        return True
    # Proxies send ports and IPv6 addresses without quotes, too, which is not ambiguous.
    while i < lines.size and (TOKEN[<unsigned char>lines.at[i]] or lines.at[i] in (c':', c'[', c']')):
        i += 1
    value.size = lines.at + i - value.at
    end[0] = i
    return value.size > 0


cdef int note_pair(Span name, Span value, Hop* hop) noexcept:
    cdef Span* target
    if is_word(name, b"for", 3):
        target = &hop.client
    elif is_word(name, b"proto", 5):
        target = &hop.proto
    elif is_word(name, b"host", 4):
        target = &hop.host
    else:
        # "by" and extensions
        return 0
    # Section 4: each parameter occurs at most once in an element.
    if target.at != NULL:
        hop.is_valid = False
    target[0] = value
    return 0


cdef double parse_request_start(Span text) noexcept:
    """Digits with a fraction, after an optional `t=`; the magnitude shows the unit."""
    cdef double number = 0, scale = 1
    cdef Py_ssize_t i = 2 if text.size > 2 and text.at[0] == c't' and text.at[1] == c'=' else 0
    cdef Py_ssize_t start = i
    # The largest time has 16 digits; longer fractions are of no use, and would not overflow.
    if text.size - i > 32:
        return 0
    while i < text.size and c'0' <= text.at[i] <= c'9':
        number = number * 10 + text.at[i] - c'0'
        i += 1
    if i == start:
        return 0
    if i < text.size and text.at[i] == c'.':
        i += 1
        while i < text.size and c'0' <= text.at[i] <= c'9':
            scale /= 10
            number += (text.at[i] - c'0') * scale
            i += 1
    if i < text.size:
        return 0
    # Numbers of seconds are below 1e11 until the year 5138, and numbers of milliseconds below 1e14. The same numbers
    # would be times before 1974 in milliseconds and microseconds.
    if number < 1e11:
        return number
    return number / 1e3 if number < 1e14 else number / 1e6
