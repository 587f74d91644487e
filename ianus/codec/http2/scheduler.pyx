"""Orders streams by their priorities.

By urgency first. In one urgency, streams that are not incremental are served one after the other, by their numbers, and
incremental ones in turns of one frame. If there are both, every second turn is of the former, so neither kind stops the
other (RFC 9218 section 10).

Compiled because the codec's types are.
"""
from cpython.object cimport PyObject

from ianus.codec.http2.stream cimport Http2Stream, append_stream, insert_before, unlink_stream


cdef inline int level_of(Http2Stream stream) noexcept:
    return stream.priority.urgency * 2 + stream.priority.incremental


cdef class Scheduler:
    cdef int add(self, Http2Stream stream) noexcept:
        cdef int level = level_of(stream)
        cdef PyObject* first = self.first[level]
        cdef PyObject* before
        self.occupied |= 1 << stream.priority.urgency
        if first == NULL or stream.priority.incremental or (<Http2Stream>(<Http2Stream>first).previous).id < stream.id:
            # Nearly always: streams are opened in the order of their numbers (RFC 9113 section 5.1.1).
            append_stream(&self.first[level], stream)
            return 0
        before = first
        while (<Http2Stream>before).id < stream.id:
            before = (<Http2Stream>before).next
        insert_before(&self.first[level], before, stream)
        return 0

    cdef int remove(self, Http2Stream stream) noexcept:
        cdef int urgency = stream.priority.urgency
        unlink_stream(&self.first[level_of(stream)], stream)
        if self.first[urgency * 2] == NULL and self.first[urgency * 2 + 1] == NULL:
            self.occupied &= ~(1 << urgency)
        return 0

    cdef PyObject* next(self) noexcept:
        cdef int urgency
        if not self.occupied:
            return NULL
        urgency = 0
        while not self.occupied & 1 << urgency:
            urgency += 1
        if self.first[urgency * 2] == NULL:
            return self.first[urgency * 2 + 1]
        if self.first[urgency * 2 + 1] == NULL or not self.turn_of_shared & 1 << urgency:
            return self.first[urgency * 2]
        return self.first[urgency * 2 + 1]

    cdef int rotate(self, Http2Stream stream) noexcept:
        cdef int level = level_of(stream)
        if not stream.priority.incremental:
            # It stays the first one in its list.
            self.turn_of_shared |= 1 << stream.priority.urgency
            return 0
        self.first[level] = (<Http2Stream>self.first[level]).next
        self.turn_of_shared &= ~(1 << stream.priority.urgency)
        return 0
