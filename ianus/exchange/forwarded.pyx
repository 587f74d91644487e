"""Forwarded data: the client's address, scheme, host, port and prefix as trusted proxies report them.

Rules:
- Only a trusted peer is believed, and of it one family of fields: X-Forwarded-... or Forwarded (RFC 7239).
- Each proxy appends its peer to the list of addresses. So the client is the first address from the right that is not
  trusted itself, or the last one that is. All further left may be the client's own text.
- The elements of other lists are about the same hop as the address at the same place, counted from the right.
- A report that cannot be understood is not there. A hop without an address ends the search: the client is then the
  proxy to the right of it.

Compiled because each request of a proxy passes here: 796 instructions for two addresses and a scheme. Requests without
such fields do not.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memchr, memset

from ianus.codec.base cimport Request
from ianus.codec.fields cimport (
    FORWARDED, FORWARDING_ALIAS, MAX_FORWARDING_FIELDS, OTHER, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PORT,
    X_FORWARDED_PREFIX, X_FORWARDED_PROTO, X_REQUEST_START, FieldId, find_forwarding, is_host,
)
from ianus.exchange.connection_info cimport HTTP, HTTPS, ConnectionInfo, extended_connection_info
from ianus.exchange.hops cimport (
    MAX_HOPS, Hop, Node, Span, element_at, is_word, parse_forwarded, parse_node, parse_port, parse_request_start,
    span_of, take_last_element,
)
from ianus.runtime.clock cimport unix_time
from ianus.runtime.trusted_peers cimport TrustedPeers, ip_text

from ianus.telemetry.logger import logger


# A request that has waited for longer than this would have been given up. Clocks differ by less.
cdef double MAX_QUEUE_SECONDS = 3600.0


@cython.no_gc
@cython.freelist(8)
cdef class ForwardedFacts:
    pass


cdef class ForwardedRules:
    """The settings of forwarded data, for all requests.

    forwarded_headers: the family, "x-forwarded" or "forwarded". forwarded_fields: the fields of it that are believed:
    "for", "proto", "host", "port", "prefix". forwarded_allow_ips: the peers that are believed. strips: the application
    gets no such fields of other peers.
    """

    def __init__(
        self, *, str forwarded_headers not None, forwarded_fields, forwarded_allow_ips, bint strips,
    ):
        fields = set(forwarded_fields)
        self.uses_forwarded = forwarded_headers == "forwarded"
        self.believes_for = "for" in fields
        self.believes_proto = "proto" in fields
        self.believes_host = "host" in fields
        self.believes_port = "port" in fields
        self.believes_prefix = "prefix" in fields
        self.peers = TrustedPeers(forwarded_allow_ips)
        self.strips = strips

    cdef ForwardedFacts read(self, Request request, ConnectionInfo connection):
        cdef list values = [None] * (X_REQUEST_START + 1)
        cdef bint has_alias = collect(request, values)
        cdef bint is_trusted = self.peers.has_client(connection.client)
        cdef ForwardedFacts facts
        cdef Report report
        memset(&report, 0, sizeof(report))
        if has_alias or self.strips and not is_trusted:
            remove_fields(request, self.strips and not is_trusted)
        if not is_trusted:
            self.log_ignored(connection)
            return None
        facts = ForwardedFacts.__new__(ForwardedFacts)
        facts.request_start = plausible_start(values[X_REQUEST_START])
        if self.uses_forwarded:
            self.read_forwarded(values[FORWARDED], &report)
        else:
            self.read_x_forwarded(values, &report)
        facts.connection = self.client_connection(request, connection, &report)
        facts.prefix = prefix_text(report.prefix)
        return facts

    cdef int find_client(self, Span elements, Report* report) noexcept:
        """Reads X-Forwarded-For. Returns the place of the client's hop from the right."""
        cdef Span element
        cdef Node node
        cdef int hop = 0, i
        for i in range(MAX_HOPS):
            if not take_last_element(&elements, &element):
                break
            # A trusted proxy has sent this element, so its other reports are believed even without an address.
            hop = i
            if not parse_node(element, &node):
                break
            report.has_client = True
            report.client = node
            if not self.peers.has_address(&node.address):
                break
        return hop

    cdef int read_x_forwarded(self, list values, Report* report) except -1:
        cdef int hop = 0
        if self.believes_for:
            hop = self.find_client(span_of(values[X_FORWARDED_FOR]), report)
        if self.believes_proto:
            report.proto = element_at(span_of(values[X_FORWARDED_PROTO]), hop)
        if self.believes_host:
            report.host = element_at(span_of(values[X_FORWARDED_HOST]), hop)
        if self.believes_port:
            report.port = element_at(span_of(values[X_FORWARDED_PORT]), hop)
        if self.believes_prefix:
            report.prefix = element_at(span_of(values[X_FORWARDED_PREFIX]), hop)
        return 0

    cdef int read_forwarded(self, bytes lines, Report* report) except -1:
        cdef Hop hops[MAX_HOPS]
        cdef int count = parse_forwarded(span_of(lines), hops), i
        cdef Hop* hop
        cdef Node node
        for i in range(count - 1, max(count - MAX_HOPS, 0) - 1, -1):
            hop = &hops[i % MAX_HOPS]
            if not hop.is_valid:
                break
            if self.believes_proto:
                report.proto = hop.proto
            if self.believes_host:
                report.host = hop.host
            if not self.believes_for or not parse_node(hop.client, &node):
                break
            report.has_client = True
            report.client = node
            if not self.peers.has_address(&node.address):
                break
        return 0

    cdef ConnectionInfo client_connection(self, Request request, ConnectionInfo connection, const Report* report):
        cdef object client = connection.client, server = connection.server
        cdef str scheme = scheme_of(report.proto, connection.scheme)
        if report.has_client:
            # Port 0: it is not known.
            client = (ip_text(&report.client.address), report.client.port)
        if report.host.at != NULL or report.port.at != NULL:
            server = forward_host(request, report, scheme, server)
        if client is connection.client and server is connection.server and scheme is connection.scheme:
            return connection
        # The facts of TLS are those of the proxy's own connection, also if it reports another scheme.
        return extended_connection_info(
            client, server, scheme, connection.vpc_endpoint_id(), connection.tls_facts()
        )

    cdef int log_ignored(self, ConnectionInfo connection) except -1:
        # Once: any client can cause it. It explains to an operator why applications have the address of the proxy.
        if not self.ignored_logged:
            self.ignored_logged = True
            logger.info(
                "forwarding fields of a request ignored, the peer is not in --forwarded-allow-ips: %s",
                "unix" if connection.client is None else connection.client[0],
            )
        return 0


cdef bint collect(Request request, list values) except -1:
    """Puts the values of forwarding fields into a list, by their ids. Returns whether there is an alias."""
    cdef bint complete = request.forwarding.count <= MAX_FORWARDING_FIELDS, has_alias = False
    cdef Py_ssize_t count = request.forwarding.count if complete else len(request.headers), i
    cdef tuple field
    cdef FieldId field_id
    cdef bytes separator
    for i in range(count):
        field = <tuple>request.headers[request.forwarding.positions[i] if complete else i]
        field_id = find_forwarding(PyBytes_AS_STRING(<bytes>field[0]), PyBytes_GET_SIZE(<bytes>field[0]))
        if field_id == FORWARDING_ALIAS:
            has_alias = True
        elif FORWARDED <= field_id <= X_REQUEST_START:
            if values[field_id] is None or field_id == X_REQUEST_START:
                # Of several starts the last one is the nearest proxy's.
                values[field_id] = field[1]
            else:
                # Several lines are one list (RFC 9110 section 5.3). Forwarded keeps the ends of lines, so that an open
                # quote in one does not swallow the next.
                separator = b"\n" if field_id == FORWARDED else b","
                values[field_id] = <bytes>values[field_id] + separator + <bytes>field[1]
    return has_alias


cdef int remove_fields(Request request, bint all_forwarding) except -1:
    """Removes aliases of forwarding fields, or all forwarding fields, from the request."""
    cdef list kept = []
    cdef tuple field
    cdef FieldId field_id
    for field in request.headers:
        field_id = find_forwarding(PyBytes_AS_STRING(<bytes>field[0]), PyBytes_GET_SIZE(<bytes>field[0]))
        if field_id == OTHER or not all_forwarding and field_id != FORWARDING_ALIAS:
            kept.append(field)
    request.headers = kept
    return 0


cdef double plausible_start(bytes value) noexcept:
    cdef double start = parse_request_start(span_of(value)), now
    if start == 0:
        return 0
    # A time in the future is that of another clock.
    now = unix_time()
    return start if now - MAX_QUEUE_SECONDS <= start <= now else 0


cdef str scheme_of(Span text, str otherwise):
    """The scheme by its name; those of WebSockets mean the same connection (RFC 6455 section 3)."""
    if is_word(text, b"https", 5) or is_word(text, b"wss", 3):
        return HTTPS
    if is_word(text, b"http", 4) or is_word(text, b"ws", 2):
        return HTTP
    return otherwise


cdef object forward_host(Request request, const Report* report, str scheme, object server):
    """Puts the host and the port that a proxy reports into the Host field. Returns the server's address by them."""
    cdef bytes host = None
    cdef Span name
    cdef int port = parse_port(report.port) if report.port.at != NULL else -1
    cdef Py_ssize_t i, place = -1
    for i in range(len(request.headers)):
        if <bytes>(<tuple>request.headers[i])[0] == b"host":
            place = i
            host = <bytes>(<tuple>request.headers[i])[1]
            break
    # An empty Host is valid, and has no name.
    if report.host.at != NULL and report.host.size and is_host(report.host.at, report.host.size):
        host = report.host.at[:report.host.size]
    elif port <= 0:
        return server
    if not host:
        # Without a name the port is only that of the address.
        return (server[0] if server is not None and server[1] is not None else "localhost", port)
    name = span_of(host)
    split_port(&name, &port)
    if port <= 0:
        port = 443 if scheme is HTTPS else 80
    elif port != (443 if scheme is HTTPS else 80):
        host = name.at[:name.size] + b":%d" % port
    else:
        # RFC 3986 section 6.2.3: without the default port, as clients send it.
        host = name.at[:name.size]
    if place >= 0:
        request.headers[place] = (b"host", host)
    else:
        request.headers.insert(0, (b"host", host))
    return (host_name(host), port)


cdef int split_port(Span* host, int* port) noexcept:
    """Removes the port from a valid host. Sets port to it, unless that is known already."""
    cdef const char* colon = <const char*>memchr(host.at, c':', host.size)
    cdef int given
    if host.size and host.at[0] == c'[':
        # An IP literal: the colon after its bracket.
        colon = <const char*>memchr(host.at, c']', host.size) + 1
        if colon == host.at + host.size:
            colon = NULL
    if colon == NULL:
        return 0
    given = parse_port(Span(colon + 1, host.at + host.size - colon - 1))
    host.size = colon - host.at
    if port[0] <= 0:
        port[0] = given
    return 0


cdef str host_name(bytes host):
    """The name in a Host without its port, and an IPv6 address without brackets, as addresses of sockets have it."""
    cdef Span name = span_of(host)
    cdef int port = 0
    split_port(&name, &port)
    if name.size and name.at[0] == c'[':
        name = Span(name.at + 1, name.size - 2)
    return name.at[:name.size].decode("ascii")


cdef str prefix_text(Span text):
    """A path prefix without a slash at its end; None for one that is not plain, or that is empty."""
    cdef Py_ssize_t i
    while text.size and text.at[text.size - 1] == c'/':
        text.size -= 1
    # Two slashes at the start would be a host in a URL (RFC 3986 section 4.2).
    if text.size < 2 or text.at[0] != c'/' or text.at[1] == c'/':
        return None
    for i in range(text.size):
        if not is_prefix_byte(text.at[i]) or text.at[i] == c'.' and text.at[i - 1] == c'/':
            return None
    return text.at[:text.size].decode("ascii")


cdef inline bint is_prefix_byte(char c) noexcept:
    """Unreserved characters of RFC 3986 section 2.3 and some that paths have: they are the same in every encoding."""
    return c'a' <= c <= c'z' or c'A' <= c <= c'Z' or c'0' <= c <= c'9' or c in (
        c'/', c'-', c'.', c'_', c'~', c'@', c':', c'+', c'=', c'!', c'$',
    )
