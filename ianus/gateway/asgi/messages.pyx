"""Reads the messages that an ASGI application sends.

Compiled because every message passes here: 148 instructions for the two of ASGI hello.
"""
import sys

from cpython.dict cimport PyDict_GetItemWithError, PyDict_Next
from cpython.object cimport PyObject
from libc.string cimport memset

# Interned, as literals in the applications are.
cdef str TYPE = sys.intern("type")
cdef str STATUS = sys.intern("status")
cdef str HEADERS = sys.intern("headers")
cdef str BODY = sys.intern("body")
cdef str MORE_BODY = sys.intern("more_body")
cdef str TRAILERS = sys.intern("trailers")
cdef str TEXT = sys.intern("text")
cdef str BYTES = sys.intern("bytes")


cdef bint read_message(dict message, Message* m) except -1:
    """One pass by identity, which keys that are literals have, instead of six searches. False for other keys."""
    cdef PyObject* key
    cdef PyObject* value
    cdef Py_ssize_t position = 0
    # NULL stands for a key that the message does not have.
    memset(m, 0, sizeof(Message))
    # All references are borrowed from the message. No code runs in this loop that could change it.
    while PyDict_Next(message, &position, &key, &value):
        if key == <PyObject*>TYPE:
            m.kind = value
        elif key == <PyObject*>STATUS:
            m.status = value
        elif key == <PyObject*>HEADERS:
            m.headers = value
        elif key == <PyObject*>BODY:
            m.body = value
        elif key == <PyObject*>MORE_BODY:
            m.more_body = value
        elif key == <PyObject*>TRAILERS:
            m.trailers = value
        else:
            # Another key, or one of these as a string made at run time.
            # `m` is incomplete then, and the caller searches by equality.
            return False
    return True


cdef bint read_sent_message(dict message, SentMessage* m) except -1:
    cdef PyObject* key
    cdef PyObject* value
    cdef Py_ssize_t position = 0
    memset(m, 0, sizeof(SentMessage))
    # As in read_message(): borrowed references, and no code that could change the message.
    while PyDict_Next(message, &position, &key, &value):
        if key == <PyObject*>TYPE:
            m.kind = value
        elif key == <PyObject*>TEXT:
            m.text = value
        elif key == <PyObject*>BYTES:
            m.data = value
        else:
            return False
    return True


cdef int search_message(dict message, Message* m) except -1:
    # Strings alone cannot raise here. The caller passes a copy, which no other code can change.
    m.kind = PyDict_GetItemWithError(message, TYPE)
    m.status = PyDict_GetItemWithError(message, STATUS)
    m.headers = PyDict_GetItemWithError(message, HEADERS)
    m.body = PyDict_GetItemWithError(message, BODY)
    m.more_body = PyDict_GetItemWithError(message, MORE_BODY)
    m.trailers = PyDict_GetItemWithError(message, TRAILERS)
    return 0


cdef object required(dict message, str key):
    # A mistake of the application, which gets the error from send().
    if key not in message:
        raise ValueError(f"ASGI message {message['type']!r} has no {key!r}")
    return message[key]


cdef object unexpected(str kind, str expected):
    return RuntimeError(f"unexpected ASGI message {kind!r}, expected '{expected}'")
