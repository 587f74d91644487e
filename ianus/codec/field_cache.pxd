"""Field lines that clients repeat, with the tuples that were made of them."""
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t
from libc.string cimport memcmp, memcpy

from ianus.codec.fields cimport FieldId


cdef enum:
    FIELD_ENTRIES = 256         # a power of two
    MIN_LINE_BYTES = 8          # shorter lines are not kept, nor longer ones
    MAX_LINE_BYTES = 176        # the Accept and the User-Agent of browsers fit


cdef struct KnownField:
    PyObject* field             # (name, value); owned by the cache. NULL in an unused entry
    FieldId id                  # of the name
    unsigned int size           # of the line
    char[MAX_LINE_BYTES] line   # as received, without CRLF


cdef class FieldCache:
    cdef KnownField* entries            # FIELD_ENTRIES of them, allocated by this object and freed in __dealloc__()
    cdef frozenset repeated_names

    # Keeps the field of a valid line, if its name is a repeated one.
    cdef int keep(self, const char* line, Py_ssize_t size, FieldId field_id, tuple field) except -1


cdef inline KnownField* entry_of(FieldCache cache, const char* line, Py_ssize_t size) noexcept:
    """The one entry that can have a line of at least MIN_LINE_BYTES."""
    cdef uint64_t first, middle, last
    memcpy(&first, line, 8)
    memcpy(&middle, line + ((size - 8) >> 1), 8)
    memcpy(&last, line + size - 8, 8)
    # The size is a part of it, or lines of equal bytes would share an entry. The top bits of a product are mixed best.
    first = (first ^ (middle * 3) ^ (last * 5) ^ <uint64_t>size) * <uint64_t>0x9E3779B97F4A7C15
    return cache.entries + (first >> 56)


cdef inline const KnownField* find_known(FieldCache cache, const char* line, Py_ssize_t size) noexcept:
    """The entry with exactly this line, or NULL."""
    cdef const KnownField* entry
    if not MIN_LINE_BYTES <= size <= MAX_LINE_BYTES:
        return NULL
    entry = entry_of(cache, line, size)
    return entry if entry.size == <unsigned int>size and memcmp(entry.line, line, size) == 0 else NULL
