"""The second step of the encoding by HPACK (RFC 7541): literals that the client's table has become indices.

The first step is codec/http2/response, in any thread. This one runs when the connection's owner sends.
"""
cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t


cdef enum:
    MAX_TABLE_UPDATE_BYTES = 12     # by which compress() may make a block longer
    MAX_REMEMBERED_BYTES = 80       # of a block that is remembered


# A literal that the client has inserted into its table.
cdef struct SentLiteral:
    uint64_t hash
    PyObject* literal               # bytes; owned by the encoder
    Py_ssize_t table_bytes          # its size in the table (RFC 7541 section 4.1)


@cython.no_gc
cdef class HpackEncoder:
    """The dynamic table of one connection, as the client has it."""
    # Writes the block of the literals of a head or of trailers, for which `block` has space and
    # MAX_TABLE_UPDATE_BYTES more. Returns its size. Blocks must be sent in the order of these calls.
    cdef Py_ssize_t compress(self, bytes literals, char* block) except -1
    # SETTINGS_HEADER_TABLE_SIZE of the client (RFC 9113 section 6.5.2), when it is acknowledged.
    cdef int set_max_table_size(self, size_t size) noexcept

    # A ring, as in hpack_decoder.
    cdef SentLiteral* sent              # `capacity` of them, owned by this object, freed in __dealloc__(), or NULL
    cdef unsigned int capacity          # a power of two, or 0
    cdef unsigned int newest            # position of the literal with the lowest index
    cdef unsigned int count
    cdef Py_ssize_t table_bytes
    cdef Py_ssize_t max_table_bytes
    # Sizes of the client's table: the one that it uses, and since the last block the smallest and the last one that
    # its settings have had
    cdef Py_ssize_t announced_bytes, smallest_bytes, latest_bytes
    # The last block that changed no table, and its literals, which are the same object while a head repeats
    cdef bytes remembered_literals
    cdef char[MAX_REMEMBERED_BYTES] remembered
    cdef Py_ssize_t remembered_bytes

    cdef char* write_table_sizes(self, char* at) noexcept
    cdef int find(self, uint64_t hash, const char* literal, Py_ssize_t size) noexcept
    cdef int insert(self, uint64_t hash, const char* literal, Py_ssize_t size, Py_ssize_t table_bytes) except -1
    cdef int evict(self, Py_ssize_t max_bytes) noexcept
    cdef int grow(self) except -1
