"""The streams of a connection by their numbers."""
from cpython.object cimport PyObject

from ianus.codec.http2.stream cimport Http2Stream


# Owned by the codec, which frees it.
cdef struct StreamTable:
    PyObject** buckets          # open addressing; each entry is a reference, or NULL. NULL without streams
    int room                    # number of buckets, a power of two
    int count                   # streams in it


cdef int add_stream(StreamTable* table, Http2Stream stream) except -1
cdef int remove_stream(StreamTable* table, int id) except -1
cdef int clear_table(StreamTable* table) except -1
cdef list listed_streams(const StreamTable* table)


cdef inline PyObject* find_stream(const StreamTable* table, int id) noexcept:
    """The stream with this number, borrowed; NULL if there is none."""
    cdef int bucket
    cdef PyObject* entry
    if table.count == 0:
        return NULL
    # Numbers of clients are odd and follow each other, so they spread without a hash.
    bucket = id >> 1 & (table.room - 1)
    while True:
        entry = table.buckets[bucket]
        if entry == NULL or (<Http2Stream>entry).id == id:
            return entry
        bucket = (bucket + 1) & (table.room - 1)
