"""A message that comes in more than one piece."""
cimport cython
from cpython.object cimport PyObject

from ianus.codec.websocket.utf8 cimport Utf8


@cython.no_gc
@cython.final
cdef class Message:
    cdef bint text
    cdef Utf8 utf8
    # A bytes object that grows as bytes come, never by what a header promises; NULL before the first. Owned by this
    # object and seen by nobody else before finish(), which gives it away; else released in __dealloc__.
    cdef PyObject* data
    cdef Py_ssize_t size            # bytes of it that are the message's

    # Returns memory for `added` bytes after those received, valid until the next call. The allocation never exceeds
    # `max_size`, the maximum of the whole message.
    cdef unsigned char* reserve(self, Py_ssize_t added, Py_ssize_t max_size) except NULL
    # They were written there; False when they are not text.
    cdef bint add(self, Py_ssize_t size) noexcept
    # The message as str or bytes; None when text ends inside a character. Nothing else may be called afterwards.
    cdef object finish(self)
