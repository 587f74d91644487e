"""Encoding of fields by HPACK (RFC 7541), in two steps.

The first one may run in any thread, before the connection and its table are known: a head becomes a block of literals.
The second one runs when the connection's owner sends: it replaces literals that the client's table has by indices.
"""
cimport cython
from ianus.codec.base cimport HeadEncoder
from ianus.codec.fields cimport Field


cdef enum:
    MAX_LENGTH_FIELD_BYTES = 24     # of encode_length()
    MAX_TABLE_UPDATE_BYTES = 12     # by which compress() may make a block longer


cdef class Http2Head:
    """An encoded head, which does not change. Any number of responses may share it."""
    cdef bytes literals     # a field block that is valid as it is
    cdef bytes priority     # value of the Priority field (RFC 9218 section 4), None without one


cdef class Http2HeadEncoder(HeadEncoder):
    """Encodes the status and the fields as an Http2Head.

    There are no reason phrases (RFC 9113 section 8.3.2). 101 becomes 200, which accepts an extended CONNECT (RFC 8441
    section 5).
    """


# Encodes fields alone, as trailers are. All fields were validated by the caller; names are put into lower case.
cdef bytes encode_fields(const Field* fields, Py_ssize_t count)
# Writes a Content-Length field, for a head whose length the codec adds; returns the end of it.
cdef char* encode_length(char* at, long long length) noexcept


@cython.no_gc
cdef class HpackEncoder:
    """The dynamic table of one connection, as the client has it."""
    # Writes the block of a head or of trailers to `block`, which has space for the literals and
    # MAX_TABLE_UPDATE_BYTES. Returns its size. Blocks must be sent in the order of these calls.
    cdef Py_ssize_t compress(self, bytes literals, char* block) except -1
    # SETTINGS_HEADER_TABLE_SIZE of the client (RFC 9113 section 6.5.2), at the time of its acknowledgement.
    cdef int set_max_table_size(self, size_t size) noexcept
