"""Decoding of field blocks by HPACK (RFC 7541), into objects that are ready for applications.

Facts: after its first request, nearly every field of a client is one byte: an index of the dynamic table. The literals
of a first request are, byte by byte, those of other clients with the same program. Strategy: the table has tuples that
were checked when they were inserted, so an index costs one append. A literal without a reference to the dynamic
table means the same on each connection, and is looked up as a whole in codec/field_cache, before it is decoded.

Rules:
- The table changes as the block has it, also for fields that are malformed or exceed a limit: its state is that of the
  client's encoder.
- No object is made for a field that neither the table nor the limits admit.
- Numbers have at most five bytes, and sizes are compared before they are used.

Compiled because it decodes the fields of every request of HTTP/2.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_Append
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdlib cimport calloc, free
from libc.string cimport strlen

from ianus.codec.field_cache cimport KnownField, find_known
from ianus.codec.fields cimport OTHER, FieldId, find_name
from ianus.codec.http2.field_kinds cimport MALFORMED_FIELD, PSEUDO_AUTHORITY, find_kind
from ianus.codec.http2.field_section cimport Allowance, FieldSection
from ianus.codec.http2.hpack_numbers cimport read_number, read_string
from ianus.codec.http2.hpack_tables cimport MAX_STATIC_INDEX, STATIC_FIELDS
from ianus.codec.http2.huffman cimport decode_huffman


cdef enum:
    ENTRY_OVERHEAD_BYTES = 32   # RFC 7541 section 4.1
    FIRST_CAPACITY = 16         # entries, a power of two
    MAX_TABLE_SIZES = 2         # updates at the start of a block (RFC 7541 section 4.2)

# Filled once at import, constant afterwards. Index 0 is not used.
cdef TableEntry static_entries[MAX_STATIC_INDEX + 1]
cdef bytes AUTHORITY_NAME = b":authority"
# The object that all modules share
cdef PyObject* HOST_NAME
find_name(b"host", 4, &HOST_NAME)


@cython.no_gc
cdef class HpackDecoder:
    def __cinit__(self):
        self.max_table_bytes = TABLE_BYTES

    def __dealloc__(self):
        self.evict(0)
        free(self.entries)

    cdef bint decode(self, const char* block, Py_ssize_t size, FieldSection section) except -1:
        cdef const unsigned char* at = <const unsigned char*>block
        cdef const unsigned char* end = at + size
        # Owned by the section, which the caller has.
        cdef Allowance* left = &section.left
        cdef list fields = section.fields
        cdef const TableEntry* entry
        cdef Py_ssize_t need
        self.reason = "invalid number"
        need = self.read_table_sizes(at, size)
        if need < 0:
            return False
        at += need
        while at < end:
            if at[0] & 0x80:
                # An indexed field (section 6.1)
                entry = self.find_entry(read_number(&at, end, 0x7F))
                if entry == NULL:
                    return False
                # With the colon, the space and CRLF of HTTP/1
                need = entry.size + 4
                if entry.kind == OTHER and need <= left.bytes and need - 2 <= left.max_field_bytes and left.fields > 0:
                    left.fields -= 1
                    left.bytes -= need
                    PyList_Append(fields, <object>entry.field)
                else:
                    section.add_special(<tuple>entry.field, entry.kind)
            elif at[0] & 0xE0 == 0x20:
                self.reason = "unexpected update of the table size"
                return False
            else:
                at = self.read_literal(at, end, section)
                if at == NULL:
                    return False
        return True

    cdef const TableEntry* find_entry(self, Py_ssize_t index) noexcept:
        """The entry of an index in both tables (section 2.3.3), NULL if there is none. Valid until an insertion."""
        if index > MAX_STATIC_INDEX:
            index -= MAX_STATIC_INDEX + 1
            if index < self.count:
                return self.entries + ((self.newest - <unsigned int>index) & (self.capacity - 1))
        elif index > 0:
            return static_entries + index
        if index >= 0:
            self.reason = "invalid index"
        return NULL

    cdef Py_ssize_t read_table_sizes(self, const unsigned char* block, Py_ssize_t size) noexcept:
        """Reads the updates at the start of a block (section 6.3). Returns the number of bytes, or -1."""
        cdef const unsigned char* at = block
        cdef Py_ssize_t table_bytes
        cdef int updates = 0
        # A third update is an unexpected one.
        while updates < MAX_TABLE_SIZES and at < block + size and at[0] & 0xE0 == 0x20:
            updates += 1
            table_bytes = read_number(&at, block + size, 0x1F)
            if table_bytes < 0:
                return -1
            if table_bytes > TABLE_BYTES:
                self.reason = "table size over SETTINGS_HEADER_TABLE_SIZE"
                return -1
            self.max_table_bytes = table_bytes
            self.evict(table_bytes)
        return at - block

    cdef const unsigned char* read_literal(
        self, const unsigned char* at, const unsigned char* end, FieldSection section
    ) except? NULL:
        cdef const char* start = <const char*>at
        cdef Literal literal
        cdef const KnownField* known
        cdef Py_ssize_t size
        cdef tuple field
        # Literals that are never indexed (section 6.2.3) differ for intermediaries alone.
        literal.indexed = at[0] & 0x40 != 0
        literal.name_index = read_number(&at, end, 0x3F if literal.indexed else 0x0F)
        if literal.name_index == 0:
            at = read_string(at, end, &literal.name, &literal.name_size, &literal.name_coded)
        elif self.find_entry(literal.name_index) == NULL:
            return NULL
        if at != NULL:
            at = read_string(at, end, &literal.value, &literal.value_size, &literal.value_coded)
        if at == NULL:
            self.reason = "incomplete string"
            return NULL
        if literal.indexed and literal.name_index <= MAX_STATIC_INDEX and self.cache is not None:
            known = find_known(self.cache, start, <const char*>at - start)
            if known != NULL:
                field = <tuple>known.field
                size = field_size(field, known.id)
                section.add_special(field, known.id)
                if size + ENTRY_OVERHEAD_BYTES <= self.max_table_bytes:
                    self.insert(field, size, known.id)
                else:
                    self.evict(0)
                return at
        if not decode_strings(&literal, section.text):
            self.reason = "invalid Huffman code"
            return NULL
        self.add_literal(&literal, start, <const char*>at - start, section)
        return at

    cdef int add_literal(
        self, Literal* literal, const char* line, Py_ssize_t line_size, FieldSection section
    ) except -1:
        cdef const TableEntry* entry
        cdef PyObject* shared
        cdef const char* reason
        cdef bytes name = None, value
        cdef tuple field
        cdef Py_ssize_t size
        cdef bint inserts
        cdef int kind
        if literal.name_index:
            entry = self.find_entry(literal.name_index)
            # An own reference: the insertion may evict the entry (section 4.4).
            name = AUTHORITY_NAME if entry.kind == PSEUDO_AUTHORITY else <bytes>(<tuple>entry.field)[0]
            literal.name = PyBytes_AS_STRING(name)
            literal.name_size = PyBytes_GET_SIZE(name)
        size = literal.name_size + literal.value_size
        inserts = literal.indexed and size + ENTRY_OVERHEAD_BYTES <= self.max_table_bytes
        if not inserts:
            if literal.indexed:
                # Section 4.4: a field that is larger than the table empties it.
                self.evict(0)
            if not section.admits(literal.name_size > 0 and literal.name[0] == c':', size):
                return 0
        kind = find_kind(literal.name, literal.name_size, literal.value, literal.value_size, &shared, &reason)
        value = PyBytes_FromStringAndSize(literal.value, literal.value_size)
        if kind == PSEUDO_AUTHORITY:
            field = (<object>HOST_NAME, value)
        elif shared != NULL:
            field = (<object>shared, value)
        elif name is not None:
            field = (name, value)
        else:
            field = (PyBytes_FromStringAndSize(literal.name, literal.name_size), value)
        section.add_special(field, kind)
        if inserts:
            self.insert(field, size, kind)
            # Neither a malformed one, which is not worth it, nor one that means something else on another connection
            if kind != MALFORMED_FIELD and literal.name_index <= MAX_STATIC_INDEX and self.cache is not None:
                self.cache.keep(line, line_size, <FieldId>kind, field)
        return 0

    cdef int insert(self, tuple field, Py_ssize_t size, int kind) except -1:
        """Inserts a field that is not larger than the table. size: of its name and value."""
        cdef TableEntry* entry
        self.evict(self.max_table_bytes - size - ENTRY_OVERHEAD_BYTES)
        if self.count == self.capacity:
            self.grow()
        self.newest = (self.newest + 1) & (self.capacity - 1)
        entry = self.entries + self.newest
        # The reference of the table, which evict() gives up.
        Py_INCREF(field)
        entry.field = <PyObject*>field
        entry.size = <unsigned short>size
        entry.kind = <unsigned char>kind
        self.count += 1
        self.table_bytes += size + ENTRY_OVERHEAD_BYTES
        return 0

    cdef int evict(self, Py_ssize_t max_bytes) noexcept:
        """Removes the oldest entries until the others are at most this large (sections 4.3 and 4.4)."""
        cdef TableEntry* oldest
        while self.table_bytes > max_bytes:
            oldest = self.entries + ((self.newest - self.count + 1) & (self.capacity - 1))
            self.count -= 1
            self.table_bytes -= oldest.size + ENTRY_OVERHEAD_BYTES
            Py_DECREF(<object>oldest.field)
        return 0

    cdef int grow(self) except -1:
        cdef unsigned int capacity = self.capacity * 2 if self.capacity else FIRST_CAPACITY
        cdef TableEntry* entries = <TableEntry*>calloc(capacity, sizeof(TableEntry))
        cdef unsigned int i
        if entries == NULL:
            raise MemoryError
        # The ring is full: from the oldest entry on, in order.
        for i in range(self.count):
            entries[i] = self.entries[(self.newest + 1 + i) & (self.capacity - 1)]
        free(self.entries)
        self.entries = entries
        self.capacity = capacity
        self.newest = (self.count - 1) & (capacity - 1)
        return 0


cdef bint decode_strings(Literal* literal, char* text) noexcept:
    """Replaces strings in the Huffman code by decoded ones in `text`, which has space for both."""
    if literal.name_index == 0 and literal.name_coded:
        literal.name_size = decode_huffman(<const unsigned char*>literal.name, literal.name_size, text)
        literal.name = text
        if literal.name_size < 0:
            return False
        text += literal.name_size
    if literal.value_coded:
        literal.value_size = decode_huffman(<const unsigned char*>literal.value, literal.value_size, text)
        literal.value = text
    return literal.value_size >= 0


cdef inline Py_ssize_t field_size(tuple field, int kind) noexcept:
    """Bytes of name and value in the table."""
    cdef Py_ssize_t name_size = PyBytes_GET_SIZE(<object>(<tuple>field)[0])
    if kind == PSEUDO_AUTHORITY:
        # The tuple has `host`.
        name_size = PyBytes_GET_SIZE(AUTHORITY_NAME)
    return name_size + PyBytes_GET_SIZE(<object>(<tuple>field)[1])


cdef int fill_static_entry(int index) except -1:
    cdef const char* name = STATIC_FIELDS[index - 1][0]
    cdef const char* value = STATIC_FIELDS[index - 1][1]
    cdef PyObject* shared
    cdef const char* reason
    cdef int kind = find_kind(name, strlen(name), value, strlen(value), &shared, &reason)
    cdef tuple field = (<object>shared if shared != NULL else <bytes>name, <bytes>value)
    # The reference of the table, which is never given up.
    Py_INCREF(field)
    static_entries[index].field = <PyObject*>field
    static_entries[index].size = <unsigned short>(strlen(name) + strlen(value))
    static_entries[index].kind = <unsigned char>kind
    return 0


for _index in range(1, MAX_STATIC_INDEX + 1):
    fill_static_entry(_index)
del _index
