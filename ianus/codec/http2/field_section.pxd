"""A field section while it is decoded (RFC 9113 section 8): the head of one request, or its trailers."""
from ianus.codec.header_rules cimport FieldFacts
from ianus.codec.limits cimport Limits


# How much the limits still admit, as HTTP/1 counts it: a field is `name: value`, all fields have line ends as well.
cdef struct Allowance:
    Py_ssize_t fields
    Py_ssize_t bytes
    Py_ssize_t max_field_bytes


cdef class FieldSection:
    """Collects the fields of one block. Blocks are decoded whole, so all connections of a listener share one section.

    No object is kept beyond the limits: fields after the one that exceeds them are decoded, since the decoder's table
    depends on them, and dropped.
    """
    cdef Limits limits
    # The verdict so far: 0, or the status of the error response with a static text. The first violation counts.
    cdef int status
    cdef const char* reason
    cdef bint malformed                 # the violation makes the message malformed: a stream error (section 8.1.1)

    cdef list fields                    # of (name, value); the first is the Host that :authority is
    cdef Allowance left
    cdef FieldFacts facts
    # Pseudo-header fields, None if absent
    cdef bytes method
    cdef bytes scheme
    cdef bytes path
    cdef bytes protocol
    cdef bytes authority
    cdef bytes priority                 # value of the Priority field, None without one
    cdef list cookies                   # values of several Cookie fields, else None
    cdef Py_ssize_t cookie_position     # of the first one in `fields`, -1 without one
    cdef bint has_dropped               # a field after the pseudo-header fields is not in `fields`

    cdef char* text                     # decoded strings of one field; owned by this object, freed in __dealloc__()
    cdef Py_ssize_t text_bytes

    cdef int start(self, Py_ssize_t block_bytes) except -1      # before each block
    cdef int end(self) noexcept                                 # drops all references
    # Adds a field that is not OTHER, or that may exceed a limit. field: (name, value), or (b"host", value) of
    # :authority.
    cdef int add_special(self, tuple field, int kind) except -1
    # Whether the limits of sizes admit a field. If not, it is noted as the violation. False after any violation.
    cdef bint admits(self, bint is_pseudo, Py_ssize_t size) noexcept
    cdef int fail(self, int status, bint malformed, const char* reason) noexcept

    cdef int add_pseudo(self, tuple field, int kind) except -1
    cdef int add_cookie(self, tuple field) except -1
    cdef int add_host(self, tuple field) except -1
    cdef int append(self, tuple field) except -1
