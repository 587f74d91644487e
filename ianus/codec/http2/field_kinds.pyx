"""The rules for one field of HTTP/2, strictly. All depend on its name and value alone, so they hold for each message.

Rules: names are tokens in lower case, values have neither control characters nor white space around them (RFC 9113
section 8.2.1); fields that are about a connection are malformed (section 8.2.2); only the pseudo-header fields of
requests are known (section 8.3). The rules for all fields of a message together are in codec/http2/field_section and
codec/http2/request.

Compiled because it checks each new field of each request.
"""
from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.string cimport memcmp

from ianus.codec.fields cimport (
    CONNECTION, DATE, HOP_BY_HOP, HOST, MAX_KNOWN_NAME_BYTES, OTHER, SERVER, TOKEN, TRANSFER_ENCODING, UPGRADE, FieldId,
    find_name, find_unknown_forwarding, has_token, is_field_value, is_host, is_token,
)


# The objects of these two names, which find_name() returns: they are compared by identity.
cdef PyObject* COOKIE_NAME
cdef PyObject* PRIORITY_NAME
find_name(b"cookie", 6, &COOKIE_NAME)
find_name(b"priority", 8, &PRIORITY_NAME)


cdef int find_kind(
    const char* name, Py_ssize_t name_size, const char* value, Py_ssize_t value_size, PyObject** shared,
    const char** reason
) noexcept:
    cdef FieldId field_id
    shared[0] = NULL
    # As in HTTP/1, other control characters than the three of RFC 9113 section 8.2.1 are refused as well.
    if not is_field_value(value, value_size):
        reason[0] = "control character in field value"
        return MALFORMED_FIELD
    if value_size and (is_blank(value[0]) or is_blank(value[value_size - 1])):
        reason[0] = "white space around a field value"
        return MALFORMED_FIELD
    if name_size and name[0] == c':':
        return find_pseudo_kind(name + 1, name_size - 1, value, value_size, reason)
    if 0 < name_size <= MAX_KNOWN_NAME_BYTES:
        # Exact bytes: a name in upper case is not known.
        field_id = find_name(name, name_size, shared)
        if shared[0] != NULL:
            return find_known_kind(field_id, shared[0], value, value_size, reason)
    if not is_lower_token(name, name_size):
        reason[0] = "invalid field name"
        return MALFORMED_FIELD
    return find_unknown_forwarding(name, name_size)


cdef int find_known_kind(
    FieldId field_id, PyObject* name, const char* value, Py_ssize_t value_size, const char** reason
) noexcept:
    if field_id == OTHER:
        if name == COOKIE_NAME:
            return COOKIE
        return PRIORITY if name == PRIORITY_NAME else OTHER
    if field_id == HOST:
        # RFC 9113 section 8.3.1: neither it nor :authority may be empty, if the scheme is http or https.
        if value_size == 0 or not is_host(value, value_size):
            reason[0] = "invalid Host"
            return MALFORMED_FIELD
    elif field_id in (CONNECTION, TRANSFER_ENCODING, UPGRADE):
        reason[0] = "field for a connection of HTTP/1"
        return MALFORMED_FIELD
    elif field_id == HOP_BY_HOP:
        # Of the four, Trailer is not about a connection, and TE has one value that is not (RFC 9113 section 8.2.2).
        # Their names have different sizes.
        if PyBytes_GET_SIZE(<object>name) == 2:
            if value_size == 8 and has_token(value, value_size, b"trailers", 8):
                return OTHER
        elif PyBytes_GET_SIZE(<object>name) == 7:
            return OTHER
        reason[0] = "field for a connection of HTTP/1"
        return MALFORMED_FIELD
    elif field_id in (DATE, SERVER):
        # Of responses alone
        return OTHER
    return field_id


cdef int find_pseudo_kind(
    const char* name, Py_ssize_t name_size, const char* value, Py_ssize_t value_size, const char** reason
) noexcept:
    """The kind of a field with this name after its colon."""
    reason[0] = "invalid pseudo-header field"
    if name_size == 4 and memcmp(name, b"path", 4) == 0:
        # Its bytes are checked when it is parsed. RFC 9113 section 8.3.1: not empty, if the scheme is http or https.
        return PSEUDO_PATH if value_size else MALFORMED_FIELD
    if name_size == 6 and memcmp(name, b"method", 6) == 0:
        return PSEUDO_METHOD if is_token(value, value_size) else MALFORMED_FIELD
    if name_size == 6 and memcmp(name, b"scheme", 6) == 0:
        # Others than http and https have no rule for the path (RFC 9113 section 8.3.1), and this server serves none.
        # In any case (RFC 3986 section 3.1).
        if value_size == 5 and has_token(value, 5, b"https", 5) or value_size == 4 and has_token(value, 4, b"http", 4):
            return PSEUDO_SCHEME
        return MALFORMED_FIELD
    if name_size == 9 and memcmp(name, b"authority", 9) == 0:
        # is_host() refuses userinfo, too (RFC 9113 section 8.3.1).
        return PSEUDO_AUTHORITY if value_size and is_host(value, value_size) else MALFORMED_FIELD
    if name_size == 8 and memcmp(name, b"protocol", 8) == 0:
        return PSEUDO_PROTOCOL if is_token(value, value_size) else MALFORMED_FIELD
    reason[0] = "unknown pseudo-header field"
    return MALFORMED_FIELD


cdef inline bint is_blank(char c) noexcept:
    return c == c' ' or c == c'\t'


cdef inline bint is_lower_token(const char* name, Py_ssize_t size) noexcept:
    cdef Py_ssize_t i
    for i in range(size):
        # TOKEN gives lower case, so upper case differs, as other bytes do.
        if TOKEN[<unsigned char>name[i]] != <unsigned char>name[i] or name[i] == 0:
            return False
    return size > 0
