"""The rules for the fields of one message together, in the order in which they are decoded.

Rules: pseudo-header fields precede all others, each at most once (RFC 9113 section 8.3); Host and :authority agree
(section 8.3.1), and the application gets one Host, the first of its fields; Cookie fields become one (section 8.2.3).
The limits are those of HTTP/1, counted in the same way, so that a request has the same verdict in both versions.

Compiled because it handles the fields with an effect, six of a usual request.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.list cimport PyList_Append, PyList_GET_SIZE
from cpython.object cimport PyObject
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from ianus.codec.fields cimport FORWARDED, HOST, TOKEN, FieldId
from ianus.codec.header_rules cimport note_common_field, note_forwarding
from ianus.codec.http2.field_kinds cimport (
    COOKIE, MALFORMED_FIELD, PRIORITY, PSEUDO_AUTHORITY, PSEUDO_METHOD, PSEUDO_PATH, PSEUDO_PROTOCOL, PSEUDO_SCHEME,
    find_kind,
)
from ianus.codec.http2.huffman cimport MIN_CODE_BITS
from ianus.codec.limits cimport Limits


cdef enum:
    MAX_SCHEME_BYTES = 5            # https
    REQUEST_LINE_BYTES = 10         # of a request line of HTTP/1, beside method and target


cdef class FieldSection:
    def __init__(self, Limits limits not None):
        self.limits = limits

    def __dealloc__(self):
        free(self.text)

    cdef int start(self, Py_ssize_t block_bytes) except -1:
        # 8 bits of a block are at most 8 / MIN_CODE_BITS symbols. Name and value are next to each other.
        cdef Py_ssize_t size = block_bytes * 8 // MIN_CODE_BITS + 2
        cdef char* text
        if size > self.text_bytes:
            text = <char*>realloc(self.text, size)
            if text == NULL:
                raise MemoryError
            self.text = text
            self.text_bytes = size
        self.end()
        self.status = 0
        self.malformed = False
        self.fields = []
        self.left.fields = self.limits.limit_request_fields
        self.left.bytes = self.limits.limit_request_fields_size
        self.left.max_field_bytes = self.limits.limit_request_field_size
        self.cookie_position = -1
        self.has_dropped = False
        memset(&self.facts, 0, sizeof(FieldFacts))
        return 0

    cdef int end(self) noexcept:
        self.fields = self.cookies = None
        self.method = self.scheme = self.path = self.protocol = self.authority = self.priority = None
        return 0

    cdef int fail(self, int status, bint malformed, const char* reason) noexcept:
        if self.status == 0:
            self.status = status
            self.malformed = malformed
            self.reason = reason
        # From here on each field has to pass admits(), which admits none.
        self.left.fields = self.left.bytes = self.left.max_field_bytes = 0
        return 0

    cdef bint admits(self, bint is_pseudo, Py_ssize_t size) noexcept:
        if self.status:
            return False
        if is_pseudo:
            # Judged again with the method, when the request is made.
            if size > self.limits.limit_request_line:
                self.fail(414, False, "request line over limit-request-line")
        elif size + 2 > self.left.max_field_bytes:
            self.fail(431, False, "field over limit-request-field-size")
        elif size + 4 > self.left.bytes:
            self.fail(431, False, "fields over limit-request-fields-size")
        return self.status == 0

    cdef int add_special(self, tuple field, int kind) except -1:
        cdef bytes name, value
        cdef PyObject* shared
        cdef const char* reason = NULL
        if self.status:
            return 0
        value = <bytes>field[1]
        if kind == MALFORMED_FIELD:
            # Only the kind was kept with the field.
            name = <bytes>field[0]
            find_kind(
                PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value),
                &shared, &reason
            )
            return self.fail(400, True, reason)
        if PSEUDO_METHOD <= kind <= PSEUDO_PROTOCOL:
            return self.add_pseudo(field, kind)
        if kind == COOKIE:
            return self.add_cookie(field)
        if kind == HOST:
            return self.add_host(field)
        if not self.append(field):
            return 0
        if kind == PRIORITY:
            self.priority = value
        elif kind >= FORWARDED:
            note_forwarding(&self.facts.forwarding, PyList_GET_SIZE(self.fields) - 1)
        elif kind and note_common_field(
            <FieldId>kind, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), &self.facts, &reason
        ):
            self.fail(400, True, reason)
        return 0

    cdef int append(self, tuple field) except -1:
        """Appends a field if the limits admit it. Returns whether they do."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(<bytes>field[0]) + PyBytes_GET_SIZE(<bytes>field[1])
        if not self.admits(False, size):
            return 0
        if self.left.fields <= 0:
            self.fail(431, False, "more fields than limit-request-fields")
            return 0
        self.left.fields -= 1
        self.left.bytes -= size + 4
        PyList_Append(self.fields, field)
        return 1

    cdef int add_pseudo(self, tuple field, int kind) except -1:
        cdef bytes value = <bytes>field[1], before
        if self.has_dropped or PyList_GET_SIZE(self.fields) > (self.authority is not None):
            return self.fail(400, True, "pseudo-header field after other fields")
        if kind == PSEUDO_METHOD:
            before, self.method = self.method, value
        elif kind == PSEUDO_SCHEME:
            before, self.scheme = self.scheme, value
        elif kind == PSEUDO_PATH:
            before, self.path = self.path, value
        elif kind == PSEUDO_PROTOCOL:
            before, self.protocol = self.protocol, value
        else:
            before, self.authority = self.authority, value
            if before is None:
                # The Host of the application, before all other fields.
                self.append(field)
        if before is not None:
            self.fail(400, True, "repeated pseudo-header field")
        elif kind != PSEUDO_AUTHORITY:
            self.admits(True, PyBytes_GET_SIZE(value))
        return 0

    cdef int add_cookie(self, tuple field) except -1:
        """The first one is a field as others. Those that follow are a part of it, and not counted as fields."""
        cdef Py_ssize_t size
        if self.cookie_position < 0:
            self.cookie_position = PyList_GET_SIZE(self.fields)
            self.append(field)
            return 0
        size = 6 + PyBytes_GET_SIZE(<bytes>field[1])
        if self.admits(False, size):
            self.left.bytes -= size + 4
            if self.cookies is None:
                self.cookies = [(<tuple>self.fields[self.cookie_position])[1]]
            PyList_Append(self.cookies, field[1])
        return 0

    cdef int add_host(self, tuple field) except -1:
        self.facts.hosts += 1
        if self.authority is None:
            self.append(field)
            return 0
        # RFC 9113 section 8.3.1: one that differs makes a request malformed. An equal one is dropped.
        self.has_dropped = True
        if not same_authority(self.authority, <bytes>field[1]) and not same_origin(self, <bytes>field[1]):
            return self.fail(400, True, "Host differs from :authority")
        return 0


cdef bint same_authority(bytes one, bytes other) noexcept:
    """Whether two valid hosts with ports are equal: names are case-insensitive (RFC 3986 section 3.2.2)."""
    cdef Py_ssize_t i, size = PyBytes_GET_SIZE(one)
    cdef const char* first = PyBytes_AS_STRING(one)
    cdef const char* second = PyBytes_AS_STRING(other)
    if size != PyBytes_GET_SIZE(other):
        return False
    for i in range(size):
        # TOKEN gives lower case, and 0 for the bytes of a host that no token has: colon and brackets.
        if first[i] != second[i] and (
            TOKEN[<unsigned char>first[i]] == 0 or TOKEN[<unsigned char>first[i]] != TOKEN[<unsigned char>second[i]]
        ):
            return False
    return True


cdef bint same_origin(FieldSection section, bytes host) except -1:
    """Whether a Host differs from :authority only by the port that the scheme implies (RFC 9110 section 4.2.3)."""
    cdef bytes port = b":443" if section.scheme is not None and len(section.scheme) == MAX_SCHEME_BYTES else b":80"
    # Rare, so nothing is saved here.
    return same_authority(
        section.authority.removesuffix(port).removesuffix(b":"), host.removesuffix(port).removesuffix(b":")
    )
