"""The queue of a stream, and the lists in which streams are linked.

Compiled because it handles every request of HTTP/2.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.string cimport memcpy

from ianus.codec.file_range cimport FileRange
from ianus.codec.http2.priority cimport DEFAULT_URGENCY


cdef enum:
    TRIM_PIECES = 64    # taken entries that a queue keeps before they are deleted


# No garbage collector: the session releases each stream, or the codec abandons all of them.
@cython.no_gc
@cython.final
@cython.freelist(128)
cdef class Http2Stream:
    cdef int put(self, object piece, Py_ssize_t size) except -1:
        self.queued += size
        if self.piece is None:
            # The usual response is one piece, and needs no list.
            self.piece = piece
        elif self.queue is None:
            self.queue = [piece]
        else:
            self.queue.append(piece)
        return 0

    cdef Py_ssize_t take(self, char* to, Py_ssize_t size) except -1:
        cdef Py_ssize_t done = 0, part
        cdef bytes data
        while done < size:
            if type(self.piece) is bytes:
                data = <bytes>self.piece
                part = min(size - done, PyBytes_GET_SIZE(data) - self.offset)
                memcpy(to + done, PyBytes_AS_STRING(data) + self.offset, part)
                self.offset += part
                if self.offset == PyBytes_GET_SIZE(data):
                    self.next_entry()
            else:
                part = (<FileRange>self.piece).read_into(to + done, size - done)
                if part <= 0:
                    break
                if (<FileRange>self.piece).left == 0:
                    self.next_entry()
            done += part
            self.queued -= part
        return done

    cdef bytes take_part(self, Py_ssize_t size, Py_ssize_t* start):
        cdef object piece = self.piece
        if type(piece) is not bytes or PyBytes_GET_SIZE(piece) - self.offset < size:
            return None
        start[0] = self.offset
        self.offset += size
        self.queued -= size
        if self.offset == PyBytes_GET_SIZE(piece):
            self.next_entry()
        return <bytes>piece

    cdef int next_entry(self) except -1:
        self.offset = 0
        self.piece = None
        if self.queue is None:
            return 0
        self.piece = self.queue[self.next_piece]
        self.queue[self.next_piece] = None
        self.next_piece += 1
        if self.next_piece == len(self.queue):
            self.queue = None
            self.next_piece = 0
        elif self.next_piece >= TRIM_PIECES:
            # Not each time: deleting the first entry moves all others.
            del self.queue[:self.next_piece]
            self.next_piece = 0
        return 0

    cdef int discard_output(self) except -1:
        self.piece = self.queue = self.trailers = None
        self.offset = self.queued = self.next_piece = 0
        self.congested = False
        return 0


cdef Http2Stream new_stream(int id):
    cdef Http2Stream stream = Http2Stream.__new__(Http2Stream)
    stream.id = id
    stream.priority.urgency = DEFAULT_URGENCY
    return stream


cdef int append_stream(PyObject** first, Http2Stream stream) noexcept:
    if first[0] == NULL:
        first[0] = stream.next = stream.previous = <PyObject*>stream
        return 0
    # Before the first one of a circle is its end.
    link_before(first[0], stream)
    return 0


cdef int insert_before(PyObject** first, PyObject* before, Http2Stream stream) noexcept:
    link_before(before, stream)
    if before == first[0]:
        first[0] = <PyObject*>stream
    return 0


cdef void link_before(PyObject* before, Http2Stream stream) noexcept:
    cdef PyObject* previous = (<Http2Stream>before).previous
    stream.next = before
    stream.previous = previous
    (<Http2Stream>previous).next = <PyObject*>stream
    (<Http2Stream>before).previous = <PyObject*>stream


cdef int unlink_stream(PyObject** first, Http2Stream stream) noexcept:
    if stream.next == <PyObject*>stream:
        first[0] = NULL
    else:
        (<Http2Stream>stream.previous).next = stream.next
        (<Http2Stream>stream.next).previous = stream.previous
        if first[0] == <PyObject*>stream:
            first[0] = stream.next
    stream.next = stream.previous = NULL
    return 0
