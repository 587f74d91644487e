"""Rules for header fields that hold in HTTP/1, HTTP/2 and HTTP/3 alike. Framing by a version's own fields is not here.

Rules: one valid Host; one Content-Type; Content-Length once and in digits; the one expectation that is defined; no
trailer that had to precede the body.

Compiled because every request passes here: 6 instructions for ASGI hello.
"""
from ianus.codec.fields cimport (
    CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, MAX_FORWARDING_FIELDS, TRANSFER_ENCODING, WEBSOCKET_KEY, FieldId,
    ForwardingFields, has_token, is_host, next_element,
)


# RFC 9110 section 6.5.1: fields for framing, routing, modifiers, authentication or content format have to precede the
# body.
cdef frozenset NOT_TRAILERS = frozenset((
    b"age", b"authorization", b"cache-control", b"connection", b"content-encoding", b"content-length",
    b"content-range", b"content-type", b"date", b"expires", b"host", b"keep-alive", b"location", b"max-forwards",
    b"proxy-authenticate", b"proxy-connection", b"retry-after", b"set-cookie", b"te", b"trailer", b"transfer-encoding",
    b"upgrade", b"vary", b"www-authenticate",
))


cdef int note_common_field(
    FieldId field_id, const char* value, Py_ssize_t size, FieldFacts* facts, const char** reason
) noexcept:
    if field_id == HOST:
        # The number is judged when the head is complete.
        facts.hosts += 1
        if not is_host(value, size):
            reason[0] = "invalid Host"
            return 400
    elif field_id == CONTENT_TYPE:
        # RFC 9110 section 8.3: recipients differ in which one they believe.
        facts.types += 1
        if facts.types > 1:
            reason[0] = "more than one Content-Type"
            return 400
    elif field_id == CONTENT_LENGTH:
        # RFC 9110 section 8.6 lets a recipient accept a list of equal values. It is refused: parsers differ in it.
        facts.lengths += 1
        if not parse_length(value, size, &facts.content_length):
            reason[0] = "invalid Content-Length"
            return 400
    elif field_id == WEBSOCKET_KEY:
        facts.websocket_key = True
    elif field_id == EXPECT:
        note_expectations(value, size, facts)
    return 0


cdef bint parse_length(const char* value, Py_ssize_t size, long long* length) noexcept:
    """1*DIGIT without overflow (RFC 9112 section 6.3: no list, no sign, no white space inside)."""
    cdef long long total = 0
    cdef Py_ssize_t i
    cdef int digit
    if size == 0:
        return False
    for i in range(size):
        digit = value[i] - c'0'
        # Checked before the multiplication: a length that overflows would be a small one.
        if digit < 0 or digit > 9 or total > (<long long>0x7FFFFFFFFFFFFFFF - digit) // 10:
            return False
        total = total * 10 + digit
    length[0] = total
    return True


cdef int note_expectations(const char* value, Py_ssize_t size, FieldFacts* facts) noexcept:
    """A list (RFC 9110 section 5.6.1) of the one expectation that is defined, in any case (section 10.1.1)."""
    cdef Py_ssize_t start = 0, end, stop
    while start < size:
        end = next_element(value, size, &start, &stop)
        if stop - start == 12 and has_token(value + start, 12, b"100-continue", 12):
            facts.expect_continue = True
        elif stop > start:
            # Judged by the codec of the version: a client of HTTP/1.0 may send any expectation.
            facts.expect_other = True
        start = end + 1
    return 0


cdef int note_forwarding(ForwardingFields* forwarding, Py_ssize_t position) noexcept:
    # The limits of fields are far below 65536 (settings/schema.py), so a position has space.
    if forwarding.count < MAX_FORWARDING_FIELDS:
        forwarding.positions[forwarding.count] = <unsigned short>position
    # One more than the maximum stands for any larger number.
    if forwarding.count <= MAX_FORWARDING_FIELDS:
        forwarding.count += 1
    return 0


cdef int check_common_fields(const FieldFacts* facts, const char** reason) noexcept:
    # RFC 9112 section 3.2, RFC 9110 section 8.6: recipients differ in which one they believe.
    if facts.hosts > 1:
        reason[0] = "more than one Host"
        return 400
    if facts.lengths > 1:
        reason[0] = "more than one Content-Length"
        return 400
    return 0


cdef bint is_forbidden_request_trailer(FieldId field_id) noexcept:
    """RFC 9110 section 6.5.1: framing and routing are decided before trailers arrive."""
    return field_id == HOST or field_id == CONTENT_LENGTH or field_id == TRANSFER_ENCODING


cdef bint may_be_response_trailer(bytes name) except -1:
    return name not in NOT_TRAILERS
