"""The HPACK decoder of one connection (RFC 7541): its dynamic table holds fields that are ready for applications."""
cimport cython
from cpython.object cimport PyObject

from ianus.codec.field_cache cimport FieldCache
from ianus.codec.http2.field_section cimport FieldSection


cdef enum:
    TABLE_BYTES = 4096  # the initial value of SETTINGS_HEADER_TABLE_SIZE, which is not changed (RFC 9113 section 6.5.2)


# A field that was checked once, when it was inserted.
cdef struct TableEntry:
    PyObject* field         # (name, value), or (b"host", value) of :authority; owned by the table
    unsigned short size     # bytes of name and value, at most TABLE_BYTES
    unsigned char kind      # FieldId or kind of field_kinds


@cython.no_gc
cdef class HpackDecoder:
    # Names the violation after decode() has returned False: a static text.
    cdef readonly const char* reason
    # Shared by all connections of a listener; None for no sharing.
    cdef FieldCache cache

    # Decodes one whole field block, which the caller has limited, into a section after its start(). Returns False for a
    # COMPRESSION_ERROR, a connection error (RFC 9113 section 4.3): no block may be decoded after it. Malformed fields
    # and exceeded limits are not errors here: section.status has them. Raises MemoryError alone.
    cdef bint decode(self, const char* block, Py_ssize_t size, FieldSection section) except -1
