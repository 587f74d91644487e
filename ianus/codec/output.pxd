"""Queued output: small pieces are copied together, big ones referenced, and all are sent in one call."""
cimport cython
from cpython.object cimport PyObject

from ianus.codec.file_range cimport FileRange


cdef extern from "<sys/uio.h>" nogil:
    cdef struct iovec:
        void* iov_base
        size_t iov_len


cdef enum:
    BLOCK_BYTES = 16384  # bytes of a pooled block; a usual head and its body fit
    COPY_LIMIT_BYTES = 8192  # a body shorter than this is copied: cheaper than one more iovec


@cython.final
cdef class BytesRange:
    """A part of a bytes object that is queued as output."""
    cdef bytes data                 # kept until the part is sent
    cdef Py_ssize_t start, size


cdef class OutputPool:
    """Keeps outputs that no connection uses now. Idle connections have none, so they cost no buffer."""
    # The first `count` entries are outputs; its size does not change, which is cheaper than append() and pop().
    cdef list free
    cdef Py_ssize_t count

    cdef Output acquire(self)
    cdef int release(self, Output output) except -1


@cython.no_gc
cdef class OutputOwner:
    """A connection as its codec sees it: the owner of the queued output."""
    cdef Output out                 # None while nothing waits to be sent

    cdef Output output(self)        # `out`, taken from its pool if there is none


cdef class Output:
    cdef Py_ssize_t size            # bytes not sent yet
    cdef double deadline            # for the peer to take it, in CLOCK_MONOTONIC seconds; 0 = none

    # The block is sent first, the queue after it: once the queue is not empty, all further writes queue, too.
    cdef char* block                # BLOCK_BYTES long, owned by this object, freed in __dealloc__
    cdef Py_ssize_t start, end      # the unsent part of the block
    cdef list queue                 # bytes objects, BytesRanges and FileRanges, each kept until it is sent
    cdef Py_ssize_t first           # index in the queue of the first unsent object
    cdef Py_ssize_t offset          # bytes of it that were sent, when it is not a FileRange
    cdef int files                  # FileRanges in the queue

    # Writing
    cdef int write(self, const char* data, Py_ssize_t size) except -1
    cdef int write_bytes(self, bytes data) except -1
    cdef int write_range(self, bytes data, Py_ssize_t start, Py_ssize_t size) except -1
    cdef int write_file(self, FileRange file) except -1
    # Sending: the connection asks for the pieces up to the next file, then reports the number of bytes sent ...
    cdef int pieces(self, iovec* vector, int max_pieces) noexcept
    cdef int sent(self, Py_ssize_t size) except -1
    # ... or, when there are none, sends from that file
    cdef FileRange file(self)
    cdef int file_sent(self, Py_ssize_t size) except -1
    cdef bint load_file(self) except -1
    cdef int drop_sent(self) except -1


# output() of an owner with this pool.
cdef Output take_output(OutputOwner owner, OutputPool pool)
# Gives it back, with all unsent bytes.
cdef int release_output(OutputOwner owner, OutputPool pool) except -1


cdef inline Output output_of(OutputOwner owner):
    """`owner.output()`, inlined for the usual case that there is one."""
    return owner.out if owner.out is not None else owner.output()
