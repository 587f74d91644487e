"""Gathers the pieces of a message in one object, so that tiny pieces cost their bytes and no more.

Compiled because pieces of large and fragmented messages pass here: 223 instructions for a message in two frames.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE, _PyBytes_Resize
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF
from cpython.unicode cimport PyUnicode_DecodeUTF8

from ianus.codec.websocket.utf8 cimport more_utf8


cdef enum:
    INITIAL_BYTES = 256  # of the first allocation, at most


@cython.no_gc
@cython.final
cdef class Message:
    def __dealloc__(self):
        # `data` is a raw pointer to a bytes object whose only reference is this one, so that it can be resized.
        Py_XDECREF(self.data)

    cdef unsigned char* reserve(self, Py_ssize_t added, Py_ssize_t max_size) except NULL:
        cdef Py_ssize_t needed = self.size + added
        cdef object data
        if self.data == NULL:
            data = PyBytes_FromStringAndSize(NULL, min(max_size, max(needed, INITIAL_BYTES)))
            # The reference of `self.data`. The one of the local variable ends with this call.
            Py_INCREF(data)
            self.data = <PyObject*>data
        elif needed > PyBytes_GET_SIZE(<object>self.data):
            # If it raises, it has freed the object and set self.data to NULL.
            _PyBytes_Resize(&self.data, min(max_size, max(needed, 2 * PyBytes_GET_SIZE(<object>self.data))))
        # Valid until the next reserve(), which may move the object.
        return <unsigned char*>PyBytes_AS_STRING(<object>self.data) + self.size

    cdef bint add(self, Py_ssize_t size, bint is_ascii) noexcept:
        cdef unsigned char* data = <unsigned char*>PyBytes_AS_STRING(<object>self.data) + self.size
        self.size += size
        # Checked piece by piece, so that invalid text is found at its first wrong byte (RFC 6455 section 8.1).
        # ASCII is valid between two characters.
        return not self.text or is_ascii and self.utf8.left == 0 or more_utf8(&self.utf8, data, size)

    cdef object finish(self):
        cdef object message
        if self.data == NULL:
            return "" if self.text else b""
        if self.text:
            # The last character is incomplete.
            if self.utf8.left:
                return None
            return PyUnicode_DecodeUTF8(PyBytes_AS_STRING(<object>self.data), self.size, NULL)
        # To its size: it was allocated with space for more.
        _PyBytes_Resize(&self.data, self.size)
        # The reference moves to `message`, and the pointer is cleared before another piece can use it.
        message = <object>self.data
        Py_XDECREF(self.data)
        self.data = NULL
        return message
