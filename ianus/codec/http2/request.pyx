"""From the fields of a block to a request, by the rules of RFC 9113 sections 8.3.1 and 8.5 and of RFC 8441.

Rules: each request has :method, :scheme and :path, and a host by :authority or Host; CONNECT without :protocol has only
:method and :authority, and is not supported. The target is parsed as that of HTTP/1. The rules for Content-Length,
Content-Type and Expect are those of all versions, in codec/header_rules.

Compiled because it makes every request of HTTP/2.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from ianus.codec.base cimport Request
from ianus.codec.header_rules cimport check_common_fields
from ianus.codec.http2.field_section cimport FieldSection
from ianus.codec.request_target cimport method_name, scan_target, set_path, set_query


cdef enum:
    REQUEST_LINE_BYTES = 10     # of a request line of HTTP/1, beside method and target


@cython.no_gc
cdef class Http2Request(Request):
    pass


cdef Http2Request build_request(FieldSection section, bint ended):
    cdef Http2Request request
    if section.status == 0:
        check_head(section, ended)
    if section.method is None or section.path is None:
        # The log has nothing to name.
        return None
    request = Http2Request.__new__(Http2Request)
    request.http_version = "2"
    request.keep_alive = True
    request.method = method_name(PyBytes_AS_STRING(section.method), PyBytes_GET_SIZE(section.method))
    request.headers = section.fields
    request.priority = section.priority
    request.forwarding = section.facts.forwarding
    if not set_target(request, section):
        return None
    if section.protocol is not None:
        request.protocol = section.protocol.decode("ascii")
        # A tunnel: its bytes are not a body, and have no length.
        request.upgrade = True
        request.content_length = -1
    elif not ended:
        request.content_length = section.facts.content_length if section.facts.lengths else -1
        # Without a body there is nothing to wait for.
        request.expect_continue = section.facts.expect_continue and request.content_length != 0
    if section.cookies is not None and section.status == 0:
        join_cookies(section)
    return request


cdef int check_head(FieldSection section, bint ended) except -1:
    """Checks all fields together, except the path."""
    cdef const char* reason = NULL
    if section.method is None:
        # RFC 9113 section 8.3.1
        return section.fail(400, True, "missing :method")
    if section.method == b"CONNECT" and section.protocol is None:
        # RFC 9113 section 8.5
        if section.scheme is not None or section.path is not None or section.authority is None:
            return section.fail(400, True, "malformed CONNECT")
        return section.fail(501, False, "CONNECT is not supported")
    if section.protocol is not None and section.method != b"CONNECT":
        # RFC 8441 section 4: it is defined for this method alone.
        return section.fail(400, True, ":protocol without CONNECT")
    if section.scheme is None or section.path is None:
        # RFC 9113 section 8.3.1
        return section.fail(400, True, "missing :scheme or :path")
    if section.authority is None and section.facts.hosts == 0:
        # RFC 9113 section 8.3.1: both schemes need an authority.
        return section.fail(400, True, "neither :authority nor Host")
    if check_common_fields(&section.facts, &reason):
        return section.fail(400, True, reason)
    if ended and section.facts.content_length and section.protocol is None:
        # RFC 9113 section 8.1.1
        return section.fail(400, True, "Content-Length without a body")
    if (
        PyBytes_GET_SIZE(section.method) + PyBytes_GET_SIZE(section.path) + REQUEST_LINE_BYTES
        > section.limits.limit_request_line
    ):
        # No error of the protocol: the line of HTTP/1 would have had these bytes.
        return section.fail(414, False, "request line over limit-request-line")
    if section.facts.expect_other:
        # RFC 9110 section 10.1.1
        return section.fail(417, False, "expectation cannot be met")
    return 0


cdef bint set_target(Http2Request request, FieldSection section) except -1:
    """Sets the target of a request. Returns whether its bytes are valid."""
    cdef bytes path = section.path
    cdef const char* target = PyBytes_AS_STRING(path)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(path), path_end
    cdef bint escaped
    if not scan_target(target, size, &path_end, &escaped):
        # As in HTTP/1, such a target is not kept for logs.
        section.fail(400, True, "invalid byte in :path")
        return False
    request.target = path
    # RFC 9113 section 8.3.1: origin-form, or the asterisk-form of OPTIONS.
    if target[0] != c'/' and not (size == 1 and target[0] == c'*' and request.method == "OPTIONS"):
        section.fail(400, True, "invalid :path")
    set_query(request, target, size, path_end)
    set_path(request, target, size, 0, path_end, escaped)
    return True


cdef int join_cookies(FieldSection section) except -1:
    """RFC 9113 section 8.2.3: one field for an application, which may know only HTTP/1."""
    cdef bytes joined = b"; ".join(section.cookies)
    # The limit is that of the one field, which HTTP/1 would have.
    if len(b"cookie") + len(joined) + 2 > section.left.max_field_bytes:
        return section.fail(431, False, "field over limit-request-field-size")
    section.fields[section.cookie_position] = (b"cookie", joined)
    return 0


cdef list take_trailers(FieldSection section):
    if section.status == 0 and (
        section.authority is not None or section.method is not None or section.scheme is not None
        or section.path is not None or section.protocol is not None
    ):
        # RFC 9113 section 8.1
        section.fail(400, True, "pseudo-header field in trailers")
    # Those of is_forbidden_request_trailer(): Transfer-Encoding is malformed anywhere.
    # RFC 9110 section 6.5.1: no trailer changes the routing or the framing.
    if section.facts.hosts or section.facts.lengths:
        section.fail(400, True, "forbidden trailer")
    if section.cookies is not None and section.status == 0:
        join_cookies(section)
    return section.fields
