"""The requests in flight, as they are written.

Facts: a supervisor that finds a worker dead, or kills it, wants to say what it was at; the worker cannot be asked any
more. Strategy: each request has its line in memory that the supervisor reads too, from when its application is called
until that has returned. It is no file and no lock: two small copies and a store, and a store; 150 instructions in all.

Compiled because every request passes here.
"""
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcpy

from ianus.runtime.clock cimport monotonic_coarse


cdef extern from * nogil:
    """
    /* Behind all that was written before: who sees the time sees the line, but for one that is replaced meanwhile. */
    static inline void ianus_publish(double *since, double value) {
        __atomic_store(since, &value, __ATOMIC_RELEASE);
    }
    """
    void publish "ianus_publish"(double* since, double value)

cdef extern from "Python.h":
    const char* PyUnicode_1BYTE_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)


cdef class Shared:
    """buffer: writable, and of a scoreboard's size.

    Raises ValueError for another size, BufferError if it is read only.
    """

    def __cinit__(self, buffer):
        PyObject_GetBuffer(buffer, &self.buffer, PyBUF_WRITABLE)
        if self.buffer.len != sizeof(Memory):
            size = self.buffer.len
            PyBuffer_Release(&self.buffer)
            raise ValueError(f"a scoreboard has {sizeof(Memory)} bytes, not {size}")
        self.memory = <Memory*>self.buffer.buf

    def __dealloc__(self):
        if self.memory != NULL:
            PyBuffer_Release(&self.buffer)


cdef class InFlight:
    """Writes to a scoreboard that is empty."""

    def __init__(self, Shared shared not None):
        cdef int index
        self.shared = shared
        self.memory = shared.memory
        self.left = ENTRIES
        for index in range(ENTRIES):
            self.free[index] = <unsigned char>(ENTRIES - index)

    def begin(self, str method not None, bytes target not None) -> int:
        """claim() for tests."""
        return self.claim(method, target)

    def end(self, unsigned char entry) -> None:
        """release() for tests."""
        self.release(entry)

    cdef unsigned char claim(self, str method, bytes target) noexcept:
        """Both are ASCII, as the codec has seen to."""
        cdef Entry* entry
        cdef unsigned char number
        cdef Py_ssize_t size = PyUnicode_GET_LENGTH(method), more = PyBytes_GET_SIZE(target)
        if self.left == 0:
            self.memory.header.unlisted += 1
            return UNLISTED
        self.left -= 1
        number = self.free[self.left]
        entry = &self.memory.entries[number - 1]
        if size > LINE - 1:
            size = LINE - 1
        memcpy(entry.line, PyUnicode_1BYTE_DATA(method), size)
        entry.line[size] = b" "
        size += 1
        if more > LINE - size:
            more = LINE - size
        memcpy(&entry.line[size], PyBytes_AS_STRING(target), more)
        entry.size = <uint16_t>(size + more)
        publish(&entry.since, monotonic_coarse())
        return number

    cdef void release(self, unsigned char entry) noexcept:
        if entry == 0:
            return
        if entry == UNLISTED:
            self.memory.header.unlisted -= 1
            return
        publish(&self.memory.entries[entry - 1].since, 0)
        self.free[self.left] = entry
        self.left += 1
