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


# A literal while it is read. Pointers are into the block, or into the text of the section.
cdef struct Literal:
    bint indexed            # to be inserted into the table
    Py_ssize_t name_index   # 0 for a name of its own
    bint name_coded         # by the Huffman code
    bint value_coded
    const char* name
    Py_ssize_t name_size
    const char* value
    Py_ssize_t value_size


@cython.no_gc
cdef class HpackDecoder:
    # Names the violation after decode() has returned False: a static text.
    cdef const char* reason
    # Shared by all connections of a listener: representations that clients repeat. None for no sharing.
    cdef FieldCache cache

    # The dynamic table, a ring. Usual connections have few entries, so it grows as they are inserted.
    cdef TableEntry* entries            # `capacity` of them, owned by this object, freed in __dealloc__(), or NULL
    cdef unsigned int capacity          # a power of two, or 0
    cdef unsigned int newest            # position of the entry with the lowest index
    cdef unsigned int count
    cdef Py_ssize_t table_bytes         # as RFC 7541 section 4.1 counts them
    cdef Py_ssize_t max_table_bytes

    # Decodes one whole field block, which the caller has limited, into a section after its start(). Returns False for a
    # COMPRESSION_ERROR, a connection error (RFC 9113 section 4.3): no block may be decoded after it. Malformed fields
    # and exceeded limits are not errors here: section.status has them. Raises MemoryError alone.
    cdef bint decode(self, const char* block, Py_ssize_t size, FieldSection section) except -1

    cdef const TableEntry* find_entry(self, Py_ssize_t index) noexcept
    cdef Py_ssize_t read_table_sizes(self, const unsigned char* block, Py_ssize_t size) noexcept
    # The position after a literal, NULL for an error
    cdef const unsigned char* read_literal(
        self, const unsigned char* at, const unsigned char* end, FieldSection section
    ) except? NULL
    cdef int add_literal(
        self, Literal* literal, const char* line, Py_ssize_t line_size, FieldSection section
    ) except -1
    cdef int insert(self, tuple field, Py_ssize_t size, int kind) except -1
    cdef int evict(self, Py_ssize_t max_bytes) noexcept
    cdef int grow(self) except -1
