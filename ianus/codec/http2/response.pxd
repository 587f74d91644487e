"""Encoding of response heads and trailers by HPACK (RFC 7541), without a dynamic table: a block of literals.

Any thread may run it, before the connection and its table are known. codec/http2/hpack_encoder shortens the block.
"""
from ianus.codec.base cimport HeadEncoder
from ianus.codec.fields cimport Field


cdef enum:
    MAX_LENGTH_FIELD_BYTES = 24     # of encode_length()


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
cdef bytes encode_literals(const Field* fields, Py_ssize_t count)
# Writes a Content-Length field, for a head whose length the codec adds. Returns the position after it.
cdef char* encode_length(char* at, long long length) noexcept
