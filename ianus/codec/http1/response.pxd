"""Encoding of response heads and chunks (RFC 9112 sections 4, 5 and 7.1)."""
from ianus.codec.base cimport HeadEncoder
from ianus.codec.fields cimport Field
from ianus.codec.output cimport Output


cdef class Http1HeadEncoder(HeadEncoder):
    """Encodes the status line and the fields, without the empty line."""


# Encodes any first line and fields, without the empty line.
cdef bytes encode_fields(bytes line, const Field* fields, Py_ssize_t count)
cdef int write_length(Output out, long long length) except -1
cdef int write_chunk_size(Output out, Py_ssize_t size) except -1
