"""Field lines and the framing that they declare, strictly.

Rules, each a branch below: names are tokens, no white space before the colon, no obs-fold; OWS is SP and HTAB
only; Transfer-Encoding exactly `chunked`, and never together with Content-Length or in HTTP/1.0. The rules that
all versions of HTTP share are in codec/header_rules.

Compiled because every field of every request passes here: 164 instructions for the three of ASGI hello, which are
known, and 750 for three that are not.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_Append, PyList_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM

from ianus.codec.fields cimport (
    CONNECTION, FORWARDED, HOST, MAX_FORWARDING_FIELDS, MAX_KNOWN_NAME_BYTES, OTHER, TOKEN, TRANSFER_ENCODING, FieldId,
    find_name, find_unknown_forwarding, has_token, is_field_value, is_token, next_element,
)
from ianus.codec.header_rules cimport (
    check_common_fields, is_forbidden_request_trailer, note_common_field, note_forwarding,
)
from ianus.codec.field_cache cimport FieldCache, KnownField
from ianus.codec.http1.request cimport HeadFacts, Http1Request


cdef int parse_field_line(
    const char* line, Py_ssize_t size, list headers, HeadFacts* facts, const char** reason, FieldCache cache
) except -1:
    cdef char lowered[MAX_KNOWN_NAME_BYTES]
    cdef char* long_name
    cdef Py_ssize_t colon = 0, start, end
    cdef unsigned char c
    # Borrowed from the table of names, which never frees it.
    cdef PyObject* shared = NULL
    cdef FieldId field_id = OTHER
    cdef bytes name, value
    cdef tuple field
    cdef int status

    while colon < size:
        # Lower-cased on the way: names are case-insensitive (RFC 9110 section 5.1), and ASGI wants lower case.
        c = TOKEN[<unsigned char>line[colon]]
        if c == 0:
            break
        if colon < MAX_KNOWN_NAME_BYTES:
            lowered[colon] = <char>c
        colon += 1
    # Also the refusal of obs-fold and of white space before the colon (RFC 9112 sections 5.1 and 5.2).
    if colon == 0 or colon == size or line[colon] != c':':
        reason[0] = "invalid field name"
        return 400

    # RFC 9112 section 5.1: optional white space around the value is not a part of it.
    start = colon + 1
    end = size
    while start < end and (line[start] == c' ' or line[start] == c'\t'):
        start += 1
    while end > start and (line[end - 1] == c' ' or line[end - 1] == c'\t'):
        end -= 1
    # RFC 9110 section 5.5: NUL, CR and LF are dangerous and have to be refused. Other controls are refused as well.
    if not is_field_value(line + start, end - start):
        reason[0] = "control character in field value"
        return 400

    if colon <= MAX_KNOWN_NAME_BYTES:
        field_id = find_name(lowered, colon, &shared)
        if shared != NULL:
            # One object for all requests. It adds a reference, and needs no allocation.
            name = <bytes>shared
        else:
            name = PyBytes_FromStringAndSize(lowered, colon)
            field_id = find_unknown_forwarding(lowered, colon)
    else:
        # Longer than any known name, so not in the table, and lowered a second time.
        name = PyBytes_FromStringAndSize(NULL, colon)
        long_name = PyBytes_AS_STRING(name)
        for i in range(colon):
            long_name[i] = <char>TOKEN[<unsigned char>line[i]]
        field_id = find_unknown_forwarding(long_name, colon)
    value = PyBytes_FromStringAndSize(line + start, end - start)

    # (name, value) without the detour over a generic tuple constructor; the tuple takes the references.
    field = PyTuple_New(2)
    # PyTuple_SET_ITEM() takes over a reference. `name` and `value` keep their own to the end of the function.
    Py_INCREF(name)
    PyTuple_SET_ITEM(field, 0, name)
    Py_INCREF(value)
    PyTuple_SET_ITEM(field, 1, value)
    PyList_Append(headers, field)

    # The usual case: no effect on this message.
    if field_id != OTHER:
        if facts != NULL:
            status = note_line(field_id, line + start, end - start, headers, facts, reason)
        else:
            # A trailer
            status = 400 if is_forbidden_request_trailer(field_id) else 0
            reason[0] = "forbidden trailer"
        if status:
            return status
    if cache is not None and shared != NULL:
        cache.keep(line, size, field_id, field)
    return 0


cdef int append_known(const KnownField* known, list headers, HeadFacts* facts, const char** reason) except -1:
    """Appends the field of an earlier request, whose tuple is shared: nothing can change one of bytes."""
    cdef bytes value
    PyList_Append(headers, <object>known.field)
    if known.id == OTHER:
        return 0
    if known.id == HOST:
        # Its value was found valid when it was new.
        facts.common.hosts += 1
        return 0
    value = <bytes>(<tuple>known.field)[1]
    return note_line(known.id, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), headers, facts, reason)


cdef int note_line(
    FieldId field_id, const char* value, Py_ssize_t size, list headers, HeadFacts* facts, const char** reason
) noexcept:
    """Records the last field of `headers`, which is not OTHER. Returns 0 or the status of the error response."""
    if field_id >= FORWARDED:
        return note_forwarding(&facts.common.forwarding, PyList_GET_SIZE(headers) - 1)
    return note_field(field_id, value, size, facts, reason)


cdef int note_field(
    FieldId field_id, const char* value, Py_ssize_t size, HeadFacts* facts, const char** reason
) noexcept:
    """Records a field that affects framing or the connection. Returns 0 or the status of the error response."""
    if field_id == TRANSFER_ENCODING:
        # Several fields make one list (RFC 9110 section 5.3), so their codings are counted together.
        facts.transfer_fields += 1
        if not note_codings(value, size, facts):
            reason[0] = "invalid Transfer-Encoding"
            return 400
    elif field_id == CONNECTION:
        # Other options of the field are of no interest: a server that answers itself forwards nothing.
        facts.close = facts.close or has_token(value, size, b"close", 5)
        facts.keep_alive = facts.keep_alive or has_token(value, size, b"keep-alive", 10)
        facts.upgrade = facts.upgrade or has_token(value, size, b"upgrade", 7)
    else:
        return note_common_field(field_id, value, size, &facts.common, reason)
    return 0


cdef bint note_codings(const char* value, Py_ssize_t size, HeadFacts* facts) noexcept:
    """A list of transfer codings (RFC 9112 section 6.1); parameters and empty elements are not accepted."""
    cdef Py_ssize_t start = 0, end, stop
    # <= and not <: an empty value has one element, which is empty and so invalid.
    while start <= size:
        end = next_element(value, size, &start, &stop)
        if not is_token(value + start, stop - start):
            return False
        facts.codings += 1
        # Of the last element of the last field, since each call overwrites it.
        facts.last_is_chunked = has_token(value + start, stop - start, b"chunked", 7)
        facts.chunked += facts.last_is_chunked
        start = end + 1
    return True


cdef int finish_head(Http1Request request, const char** reason) except -1:
    cdef HeadFacts* facts = &request.facts
    cdef int status = check_common_fields(&facts.common, reason)
    if status:
        return status
    # RFC 9112 section 3.2: 400 for a request without Host in HTTP/1.1.
    if facts.common.hosts == 0 and request.minor == 1:
        reason[0] = "missing Host"
        return 400
    # After the check of the Host field: an absolute-form does not excuse an invalid one.
    if request.authority is not None:
        replace_host(request.headers, request.authority)
        if facts.common.hosts == 0 and facts.common.forwarding.count:
            # The field was inserted before the others, so the positions are wrong.
            facts.common.forwarding.count = MAX_FORWARDING_FIELDS + 1

    if facts.transfer_fields:
        # RFC 9112 section 6.3: perhaps an attempt at request smuggling. It may be rejected (section 6.1), and is.
        if facts.common.lengths:
            reason[0] = "Content-Length together with Transfer-Encoding"
            return 400
        if request.minor == 0:
            # RFC 9112 section 6.1: faulty framing.
            reason[0] = "Transfer-Encoding in HTTP/1.0"
            return 400
        # RFC 9112 section 6.3: the length of the body cannot be known then. Section 6.1: chunked is applied only once.
        if not facts.last_is_chunked or facts.chunked > 1:
            reason[0] = "Transfer-Encoding does not end in one chunked"
            return 400
        # RFC 9112 section 6.1: 501 for a coding that is not understood. Only chunked is.
        if facts.codings > 1:
            reason[0] = "unknown transfer coding"
            return 501
        # Chunked: the length is not known.
        request.content_length = -1
    else:
        # 0 without a field: a request has no body then (RFC 9112 section 6.3).
        request.content_length = facts.common.content_length

    request.websocket_key = facts.common.websocket_key
    if facts.common.forwarding.count:
        request.forwarding = facts.common.forwarding

    # RFC 9112 section 9.3; `close` wins over `keep-alive`.
    request.keep_alive = not facts.close and (request.minor == 1 or facts.keep_alive)

    # RFC 9110 sections 10.1.1 and 7.8: a 1.0 client can wait neither for 100 nor for 101, so its Expect and Upgrade
    # are ignored.
    if request.minor == 1:
        if facts.common.expect_other:
            reason[0] = "expectation cannot be met"
            return 417
        # Without a body there is nothing to wait for.
        request.expect_continue = facts.common.expect_continue and request.content_length != 0
        request.upgrade = facts.upgrade
    return 0


cdef int replace_host(list headers, bytes authority) except -1:
    """RFC 9112 section 3.2.2: the authority of an absolute-form replaces the Host field."""
    cdef Py_ssize_t i
    for i in range(len(headers)):
        # finish_head() has checked that there is at most one.
        if (<tuple>headers[i])[0] == b"host":
            headers[i] = (b"host", authority)
            return 0
    headers.insert(0, (b"host", authority))
    return 0
