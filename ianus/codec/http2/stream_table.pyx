"""A small hash table. An idle connection has none, and a dictionary would make an int for each number.

Compiled because it handles every request of HTTP/2.
"""
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdlib cimport calloc, free

from ianus.codec.http2.stream cimport Http2Stream


cdef enum:
    MIN_ROOM = 8        # buckets of a table that is never freed before its connection
    MAX_KEPT_ROOM = 32  # buckets of an empty table that is not freed


cdef void put_entry(PyObject** buckets, int room, PyObject* entry) noexcept:
    cdef int bucket = (<Http2Stream>entry).id >> 1 & (room - 1)
    while buckets[bucket] != NULL:
        bucket = (bucket + 1) & (room - 1)
    buckets[bucket] = entry


cdef int resize(StreamTable* table, int room) except -1:
    cdef PyObject** buckets = <PyObject**>calloc(room, sizeof(PyObject*))
    cdef int i
    if buckets == NULL:
        raise MemoryError
    for i in range(table.room):
        if table.buckets[i] != NULL:
            put_entry(buckets, room, table.buckets[i])
    free(table.buckets)
    table.buckets = buckets
    table.room = room
    return 0


cdef int add_stream(StreamTable* table, Http2Stream stream) except -1:
    # At most half full, so searches are short, and always end.
    if table.count * 2 >= table.room:
        resize(table, max(<int>MIN_ROOM, table.room * 2))
    Py_INCREF(stream)
    put_entry(table.buckets, table.room, <PyObject*>stream)
    table.count += 1
    return 0


cdef int remove_stream(StreamTable* table, int id) except -1:
    cdef PyObject* entry = find_stream(table, id)
    cdef int bucket, hole, wanted, mask = table.room - 1
    if entry == NULL:
        return 0
    hole = id >> 1 & mask
    while table.buckets[hole] != entry:
        hole = (hole + 1) & mask
    # Entries after the hole that belong before it move into it, so no search ends too early.
    bucket = hole
    while True:
        bucket = (bucket + 1) & mask
        if table.buckets[bucket] == NULL:
            break
        wanted = (<Http2Stream>table.buckets[bucket]).id >> 1 & mask
        if (bucket - wanted & mask) >= (bucket - hole & mask):
            table.buckets[hole] = table.buckets[bucket]
            hole = bucket
    table.buckets[hole] = NULL
    table.count -= 1
    if table.count == 0 and table.room > MAX_KEPT_ROOM:
        free(table.buckets)
        table.buckets = NULL
        table.room = 0
    # Last: it may be the last reference.
    Py_DECREF(<Http2Stream>entry)
    return 0


cdef int clear_table(StreamTable* table) except -1:
    cdef PyObject** buckets = table.buckets
    cdef int i, room = table.room
    # Empty before any reference ends.
    table.buckets = NULL
    table.room = table.count = 0
    for i in range(room):
        if buckets[i] != NULL:
            Py_DECREF(<Http2Stream>buckets[i])
    free(buckets)
    return 0


cdef list listed_streams(const StreamTable* table):
    return [<Http2Stream>table.buckets[i] for i in range(table.room) if table.buckets[i] != NULL]
