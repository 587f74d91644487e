"""A field section while it is decoded (RFC 9113 section 8): the head of one request, or its trailers."""
from cpython.object cimport PyObject

from ianus.codec.header_rules cimport FieldFacts
from ianus.codec.limits cimport Limits


cdef class FieldSection:
    """Collects the fields of one block. Blocks are decoded whole, so all connections of a listener share one.

    No object is kept beyond the limits: fields after the one that exceeds them are decoded, since the decoder's table
    depends on them, and dropped.
    """
    cdef Limits limits
    # The verdict so far: 0, or the status of the error response with a static text. The first violation counts.
    cdef int status
    cdef const char* reason
    cdef bint malformed                 # the violation makes the message malformed: a stream error (section 8.1.1)

    cdef list fields                    # of (name, value); the first is the Host that :authority is
    cdef FieldFacts facts
    # Pseudo-header fields, None if absent
    cdef bytes method
    cdef bytes scheme
    cdef bytes path
    cdef bytes protocol
    cdef bytes priority                 # value of the Priority field, None without one
    cdef tuple host                     # (b"host", value of :authority)
    cdef list cookies                   # values of several Cookie fields, else None
    cdef Py_ssize_t cookie_position     # of the first one in `fields`

    cdef Py_ssize_t fields_left         # how many more fields the limits admit
    cdef Py_ssize_t bytes_left          # how many more bytes, as HTTP/1 counts them
    cdef Py_ssize_t max_field_bytes
    cdef bint has_fields                # fields that are not pseudo-header fields

    cdef int start(self) except -1      # before each block
    cdef int end(self) noexcept         # drops all references
    # Adds a field that is not OTHER or exceeds a limit. field: (name, value), or for PSEUDO_AUTHORITY
    # (b"host", value). size: bytes of name and value.
    cdef int add_special(self, object field, int kind, Py_ssize_t size) except -1
    cdef int fail(self, int status, bint malformed, const char* reason) noexcept
