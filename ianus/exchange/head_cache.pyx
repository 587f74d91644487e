"""The encoded heads of the last responses.

Facts: an application has few different heads. Their strings are often the same objects, or have at least the same
content; to compare them costs a tenth of the checks and of the encoding. Strategy: a head is found by a fingerprint,
then compared with all that it was made of. It is valid for one second if it has a Date.

Rule: the input of a cached head cannot change: exact tuples of exact str or bytes. The comparison runs no code of the
application.

Compiled because every response passes here: 290 instructions for ASGI hello.
"""
cimport cython

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.list cimport PyList_CheckExact
from cpython.tuple cimport PyTuple_CheckExact, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_CheckExact, PyUnicode_GET_LENGTH
from libc.string cimport memcmp

from ianus.codec.base cimport HeadEncoder


cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)


cdef enum:
    MAX_FIELDS = 32             # of a head that is cached
    MAX_FIELDS_BYTES = 2048


cdef class CachedHead:
    """Made by response_head."""


@cython.final
cdef class HeadCache:
    """The heads of one worker. All its threads use it."""

    def __cinit__(self):
        self.slots = [None] * HEAD_SLOTS

    cdef CachedHead find(
        self, size_t fingerprint, HeadEncoder encoder, int status, bytes reason, object headers, bint native,
        bint trailers, bytes date
    ):
        # An own reference: another thread may replace the entry.
        cdef object found = self.slots[fingerprint & (HEAD_SLOTS - 1)]
        cdef CachedHead head
        if found is None:
            return None
        head = <CachedHead>found
        if (
            head.fingerprint != fingerprint or head.encoder is not encoder or head.status != status
            or head.reason is not reason or head.native != native or head.trailers != trailers
            or head.date is not None and head.date is not date
        ):
            return None
        return head if same_fields(head.fields, headers, native) else None

    cdef bint should_put(self, size_t fingerprint) noexcept:
        cdef size_t* missed = &self.missed[fingerprint & (HEAD_SLOTS - 1)]
        # Heads that occur once, such as those of pages with other lengths each time, are not worth an entry.
        if missed[0] == fingerprint:
            return True
        missed[0] = fingerprint
        return False

    cdef int put_head(self, CachedHead head) except -1:
        self.slots[head.fingerprint & (HEAD_SLOTS - 1)] = head
        return 0


cdef size_t fingerprint_of(int status, object headers, bint native) noexcept:
    cdef size_t fingerprint = <size_t>status
    cdef Py_ssize_t count, i, size, total = 0
    cdef const char* text = NULL
    cdef object pair
    if PyList_CheckExact(headers):
        count = len(<list>headers)
    elif PyTuple_CheckExact(headers):
        count = len(<tuple>headers)
    else:
        return 0
    if count > MAX_FIELDS:
        return 0
    for i in range(count):
        pair = item(headers, i)
        if not PyTuple_CheckExact(pair) or PyTuple_GET_SIZE(pair) != 2:
            return 0
        if not read_part(<object>(<tuple>pair)[1], native, &text, &size):
            return 0
        total += size
        # By the last byte, numbers and many tokens of the same length differ.
        fingerprint = fingerprint * 31 + <size_t>size * 257 + (<unsigned char>text[size - 1] if size else 0)
    return (fingerprint ^ fingerprint >> 7) | <size_t>1 << 60 if total <= MAX_FIELDS_BYTES else 0


cdef bint same_fields(tuple fields, object headers, bint native) noexcept:
    """Whether headers, which fingerprint_of() has accepted, are equal to fields."""
    cdef Py_ssize_t i, count = PyTuple_GET_SIZE(fields)
    cdef object pair, other
    if count != (len(<list>headers) if PyList_CheckExact(headers) else len(<tuple>headers)):
        return False
    for i in range(count):
        pair = fields[i]
        other = item(headers, i)
        # Constants of the application are the same objects each time.
        if pair is not other and not (
            same_part(<object>(<tuple>pair)[0], <object>(<tuple>other)[0], native)
            and same_part(<object>(<tuple>pair)[1], <object>(<tuple>other)[1], native)
        ):
            return False
    return True


cdef inline object item(object headers, Py_ssize_t i):
    return (<list>headers)[i] if PyList_CheckExact(headers) else (<tuple>headers)[i]


cdef inline bint same_part(object known, object part, bint native) noexcept:
    cdef const char* known_text
    cdef const char* text
    cdef Py_ssize_t known_size, size
    if known is part:
        return True
    # The first one is always of the right type; a name was not looked at before.
    return (
        read_part(part, native, &text, &size) and read_part(known, native, &known_text, &known_size)
        and size == known_size and memcmp(text, known_text, size) == 0
    )


cdef inline bint read_part(object part, bint native, const char** text, Py_ssize_t* size) noexcept:
    """Finds the bytes of a str of ASCII or of a bytes object, which keeps them. False for any other object."""
    if native:
        if not PyUnicode_CheckExact(part) or not PyUnicode_IS_COMPACT_ASCII(part):
            return False
        text[0] = <const char*>PyUnicode_1BYTE_DATA(part)
        size[0] = PyUnicode_GET_LENGTH(part)
    else:
        if not PyBytes_CheckExact(part):
            return False
        text[0] = PyBytes_AS_STRING(part)
        size[0] = PyBytes_GET_SIZE(part)
    return True
