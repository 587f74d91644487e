"""A message that is received in more than one piece."""
cimport cython
from cpython.object cimport PyObject

from ianus.codec.websocket.utf8 cimport Utf8


@cython.no_gc
@cython.final
cdef class Message:
    cdef bint text
    cdef Utf8 utf8
    # A bytes object that grows as bytes arrive, never by the length in a header; NULL before the first. This object
    # owns the only reference; finish() transfers it to the caller, else __dealloc__ releases it.
    cdef PyObject* data
    cdef Py_ssize_t size            # bytes of it that are the message's

    # Returns memory for `added` bytes after those received, valid until the next call. The allocation never exceeds
    # `max_size`, the maximum of the whole message.
    cdef unsigned char* reserve(self, Py_ssize_t added, Py_ssize_t max_size) except NULL
    # Appends `size` bytes that were written to that memory. Returns False if they make the text invalid. is_ascii: all
    # of them are known to be ASCII.
    cdef bint add(self, Py_ssize_t size, bint is_ascii) noexcept
    # Returns the message as str or bytes; None if text ends inside a character. No other method may be called after.
    cdef object finish(self)
