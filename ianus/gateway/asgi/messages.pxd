"""Reads the values of an application's ASGI messages."""
from cpython.object cimport PyObject


# Borrowed from the message; NULL for a key that it does not have.
cdef struct Message:
    PyObject* kind
    PyObject* status
    PyObject* headers
    PyObject* body
    PyObject* more_body
    PyObject* trailers


# The values of a `websocket.send`. Borrowed from the message; NULL for a key that it does not have.
cdef struct SentMessage:
    PyObject* kind
    PyObject* text
    PyObject* data


# Finds the keys by identity, in one pass. Returns False if the message has other keys: then use search_message().
cdef bint read_message(dict message, Message* m) except -1
cdef int search_message(dict message, Message* m) except -1
# The same for a `websocket.send`
cdef bint read_sent_message(dict message, SentMessage* m) except -1
# Returns a value that the message must have. Raises ValueError if it has not.
cdef object required(dict message, str key)
# Returns the error for a message that is out of order. expected: one kind, or several with quotes between them.
cdef object unexpected(str kind, str expected)
