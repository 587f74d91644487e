"""Memory of another object, mapped or not, that stays in its place."""
cimport cython


# No garbage collection, as a class with Python attributes has it: that clears `buffer.obj` before __dealloc__()
# releases the buffer, so its owner counts a buffer for ever (CPython 3.12.1 even crashes). No cycle leads through the
# owner.
@cython.final
@cython.no_gc
cdef class MappedMemory:
    cdef Py_buffer buffer

    # The addresses are valid as long as this object lives. ValueError if the memory has fewer bytes than the reader
    # needs, another size than the writer expects, or must not be written to.
    cdef const void* readable(self, Py_ssize_t size) except NULL
    cdef void* writable(self, Py_ssize_t size) except NULL
