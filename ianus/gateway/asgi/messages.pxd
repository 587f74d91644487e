"""The values of an application's ASGI messages."""
from cpython.object cimport PyObject


# Borrowed from the message; NULL for a key that it does not have.
cdef struct Message:
    PyObject* kind
    PyObject* status
    PyObject* headers
    PyObject* body
    PyObject* more_body
    PyObject* trailers


# Finds the keys by identity, in one pass. False when the message has other keys: then search_message() finds them.
cdef bint read_message(dict message, Message* m) except -1
cdef int search_message(dict message, Message* m) except -1
# A value that the message must have. Raises ValueError.
cdef object required(dict message, str key)
# The error for a message that comes out of order.
cdef object unexpected(str kind, str expected)
