"""Indices in place of literals that a client has seen before.

Facts: a server sends the same few fields with each response, and an application often the same head, which is the same
object then. Strategy: codec/http2/response marks the literals that are worth an entry of the client's table, by the
representation that inserts them (RFC 7541 section 6.2.1). Here each of them is looked up among those that were sent; a
block that consists of indices is remembered for the next response with the same head.

Rule: the table here may be smaller than the client's, never larger. Indices count from the newest entry, so they are
right as long as both insert the same literals.

Compiled because it encodes the fields of every response of HTTP/2.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, strlen

from ianus.codec.http2.hpack_numbers cimport read_number, read_string, write_number
from ianus.codec.http2.hpack_tables cimport MAX_STATIC_INDEX, STATIC_FIELDS


cdef enum:
    ENTRY_OVERHEAD_BYTES = 32       # RFC 7541 section 4.1
    CLIENT_TABLE_BYTES = 4096       # initial value of SETTINGS_HEADER_TABLE_SIZE (RFC 9113 section 6.5.2)
    SENT_BYTES = 2048               # maximum of the table here: memory of each connection
    FIRST_CAPACITY = 8              # literals, a power of two


@cython.no_gc
cdef class HpackEncoder:
    def __cinit__(self):
        self.max_table_bytes = SENT_BYTES
        self.announced_bytes = self.smallest_bytes = self.latest_bytes = CLIENT_TABLE_BYTES

    def __dealloc__(self):
        self.evict(0)
        free(self.sent)

    cdef Py_ssize_t compress(self, bytes literals, char* block) except -1:
        cdef const char* end = PyBytes_AS_STRING(literals) + PyBytes_GET_SIZE(literals)
        cdef const char* at = PyBytes_AS_STRING(literals)
        cdef const char* start
        cdef const char* copied = at
        cdef char* target = block
        cdef Py_ssize_t table_bytes
        cdef uint64_t hash
        cdef bint inserted = False
        cdef int index
        if literals is self.remembered_literals:
            memcpy(block, self.remembered, self.remembered_bytes)
            return self.remembered_bytes
        if self.smallest_bytes < self.announced_bytes:
            inserted = True
            target = self.write_table_sizes(target)
        while at < end:
            start = at
            at = skip_literal(at, end, &table_bytes)
            if table_bytes == 0:
                continue
            hash = hash_of(start, at - start)
            index = self.find(hash, start, at - start)
            if index == 0:
                inserted = True
                self.insert(hash, start, at - start, table_bytes)
            else:
                # The literals since the last index, as they are.
                memcpy(target, copied, start - copied)
                target = write_number(target + (start - copied), index, 0x80, 0x7F)
                copied = at
        memcpy(target, copied, end - copied)
        target += end - copied
        # Not remembered while indices change: the next block would be another one.
        if inserted or target - block > MAX_REMEMBERED_BYTES:
            self.remembered_literals = None
        else:
            memcpy(self.remembered, block, target - block)
            self.remembered_bytes = target - block
            self.remembered_literals = literals
        return target - block

    cdef int set_max_table_size(self, size_t size) noexcept:
        self.latest_bytes = <Py_ssize_t>min(size, <size_t>CLIENT_TABLE_BYTES)
        self.smallest_bytes = min(self.smallest_bytes, self.latest_bytes)
        if self.smallest_bytes < self.announced_bytes:
            # A larger table needs no update, and is not used.
            self.max_table_bytes = min(self.latest_bytes, <Py_ssize_t>SENT_BYTES)
            self.evict(min(self.smallest_bytes, <Py_ssize_t>SENT_BYTES))
            self.remembered_literals = None
        return 0

    cdef char* write_table_sizes(self, char* at) noexcept:
        """RFC 7541 section 4.2: the smallest size since the last block, and the last one."""
        if self.smallest_bytes < self.latest_bytes:
            at = write_number(at, self.smallest_bytes, 0x20, 0x1F)
        self.announced_bytes = self.smallest_bytes = self.latest_bytes
        return write_number(at, self.announced_bytes, 0x20, 0x1F)

    cdef int find(self, uint64_t hash, const char* literal, Py_ssize_t size) noexcept:
        """The index of a literal, 0 if the client does not have it. The newest one is looked at first."""
        cdef const SentLiteral* sent
        cdef unsigned int i
        for i in range(self.count):
            sent = self.sent + ((self.newest - i) & (self.capacity - 1))
            if (
                sent.hash == hash and PyBytes_GET_SIZE(<object>sent.literal) == size
                and memcmp(PyBytes_AS_STRING(<object>sent.literal), literal, size) == 0
            ):
                return MAX_STATIC_INDEX + 1 + i
        return 0

    cdef int insert(self, uint64_t hash, const char* literal, Py_ssize_t size, Py_ssize_t table_bytes) except -1:
        cdef SentLiteral* sent
        cdef bytes copy
        # RFC 7541 section 4.4: one that is larger than the table empties it.
        self.evict(max(self.max_table_bytes - table_bytes, 0))
        if table_bytes > self.max_table_bytes:
            return 0
        if self.count == self.capacity:
            self.grow()
        copy = PyBytes_FromStringAndSize(literal, size)
        self.newest = (self.newest + 1) & (self.capacity - 1)
        sent = self.sent + self.newest
        sent.hash = hash
        # The reference of the table, which evict() gives up.
        Py_INCREF(copy)
        sent.literal = <PyObject*>copy
        sent.table_bytes = table_bytes
        self.count += 1
        self.table_bytes += table_bytes
        return 0

    cdef int evict(self, Py_ssize_t max_bytes) noexcept:
        """Removes the oldest literals until the others are at most this large."""
        cdef SentLiteral* oldest
        while self.table_bytes > max_bytes:
            oldest = self.sent + ((self.newest - self.count + 1) & (self.capacity - 1))
            self.count -= 1
            self.table_bytes -= oldest.table_bytes
            Py_DECREF(<object>oldest.literal)
        return 0

    cdef int grow(self) except -1:
        cdef unsigned int capacity = self.capacity * 2 if self.capacity else FIRST_CAPACITY
        cdef SentLiteral* sent = <SentLiteral*>calloc(capacity, sizeof(SentLiteral))
        cdef unsigned int i
        if sent == NULL:
            raise MemoryError
        # The ring is full: from the oldest literal on, in order.
        for i in range(self.count):
            sent[i] = self.sent[(self.newest + 1 + i) & (self.capacity - 1)]
        free(self.sent)
        self.sent = sent
        self.capacity = capacity
        self.newest = (self.count - 1) & (capacity - 1)
        return 0


cdef inline const char* skip_literal(const char* start, const char* end, Py_ssize_t* table_bytes) noexcept:
    """The position after a representation of codec/http2/response.

    table_bytes: its size in the table if it is to be inserted, else 0.
    """
    cdef const unsigned char* at = <const unsigned char*>start
    cdef const char* text
    cdef bint coded
    cdef Py_ssize_t index, name_size = 0, value_size = 0
    cdef unsigned char first = at[0]
    table_bytes[0] = 0
    if first & 0x80:
        return start + 1
    index = read_number(&at, <const unsigned char*>end, 0x3F if first & 0x40 else 0x0F)
    if index == 0:
        at = read_string(at, <const unsigned char*>end, &text, &name_size, &coded)
    at = read_string(at, <const unsigned char*>end, &text, &value_size, &coded)
    if first & 0x40:
        if index:
            name_size = strlen(STATIC_FIELDS[index - 1][0])
        table_bytes[0] = name_size + value_size + ENTRY_OVERHEAD_BYTES
    return <const char*>at


cdef inline uint64_t hash_of(const char* literal, Py_ssize_t size) noexcept:
    """Of the size and up to 24 bytes: the values of one name differ at an end or in the middle."""
    cdef uint64_t first = 0, middle = 0, last = 0
    if size < 8:
        memcpy(&first, literal, size)
    else:
        memcpy(&first, literal, 8)
        memcpy(&middle, literal + ((size - 8) >> 1), 8)
        memcpy(&last, literal + size - 8, 8)
    return (first ^ (middle * 3) ^ (last * 5) ^ <uint64_t>size) * <uint64_t>0x9E3779B97F4A7C15
