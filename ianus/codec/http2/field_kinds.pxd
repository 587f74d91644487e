"""The rules of RFC 9113 section 8 for one field: its grammar, and its effect on a request."""
from cpython.object cimport PyObject


# The kind of a field is the FieldId of a name that affects the message, OTHER for all other names, or one of these.
cdef enum:
    COOKIE = 64         # to be joined (RFC 9113 section 8.2.3)
    PRIORITY            # RFC 9218 section 4
    PSEUDO_METHOD       # from here to PSEUDO_PROTOCOL: pseudo-header fields (section 8.3.1, RFC 8441 section 4)
    PSEUDO_SCHEME
    PSEUDO_AUTHORITY
    PSEUDO_PATH
    PSEUDO_PROTOCOL
    MALFORMED_FIELD     # a message that has it is malformed (section 8.1.1)


# Returns the kind of a field. shared: the object of a known name, borrowed for ever, or NULL. reason: a static text, if
# the field is malformed.
cdef int find_kind(
    const char* name, Py_ssize_t name_size, const char* value, Py_ssize_t value_size, PyObject** shared,
    const char** reason
) noexcept
