"""A buffer whose address others keep.

Compiled because native threads and the reactor read and write the memory without the interpreter.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer


cdef class MappedMemory:
    """The memory of a buffer, for example of an mmap, which cannot be closed as long as this object lives."""

    def __cinit__(self, buffer):
        PyObject_GetBuffer(buffer, &self.buffer, PyBUF_SIMPLE)

    def __dealloc__(self):
        # Does nothing if there is no buffer
        PyBuffer_Release(&self.buffer)

    cdef const void* readable(self, Py_ssize_t size) except NULL:
        if self.buffer.len < size:
            raise ValueError(f"the memory has {self.buffer.len} bytes, not {size}")
        return self.buffer.buf

    cdef void* writable(self, Py_ssize_t size) except NULL:
        if self.buffer.len != size:
            raise ValueError(f"the memory has {self.buffer.len} bytes, not {size}")
        if self.buffer.readonly:
            raise ValueError("the memory is read-only")
        return self.buffer.buf
