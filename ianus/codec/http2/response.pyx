"""Encodes response heads as literals. All fields were validated by the caller: nothing is checked again.

Facts: a client's table keeps the fields that repeat, so the bytes of the others alone count. Strategy: strings are sent
as they are, without the Huffman code, which would save a quarter of those bytes. Each name has its representation:
inserted into the client's table (RFC 7541 section 6.2.1), not inserted, or never inserted.

Rule: a value that may be a secret is never inserted, or its length could be found by guesses (section 7.1.3).

Compiled because it encodes each head that is not in exchange/head_cache.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.string cimport memcmp, memcpy

from ianus.codec.base cimport HeadEncoder
from ianus.codec.fields cimport MAX_KNOWN_NAME_BYTES, TOKEN, Field
from ianus.codec.http2.hpack_numbers cimport write_number
from ianus.codec.http2.hpack_tables cimport MAX_STATIC_INDEX, STATIC_FIELDS


# The first byte of a representation, without the index of the name, which has the rest of the bits.
cdef enum Indexing:
    INSERTED = 0x40
    NOT_INSERTED = 0x00
    NEVER_INSERTED = 0x10

cdef enum:
    NAME_BUCKETS = 512              # a power of two, several times the number of names
    MAX_NUMBER_BYTES = 6
    MAX_INSERTED_BYTES = 1024       # larger values would drive all others out of the table
    MAX_STATUS_BYTES = 5
    STATUS_NAME_INDEX = 8
    CONTENT_LENGTH_NAME_INDEX = 28

cdef struct EncodedName:
    PyObject* name                  # bytes; this table owns one reference for the life of the process
    unsigned char index             # of the static table, or 0
    unsigned char indexing

# Filled once at import, constant afterwards.
cdef EncodedName encoded_names[NAME_BUCKETS]
# The static index of a status, 0 without one.
cdef unsigned char[1000] status_indices


cdef class Http2Head:
    """Made by the encoder."""


cdef class Http2HeadEncoder(HeadEncoder):
    cdef object encode(self, int status, bytes reason, const Field* fields, Py_ssize_t count):
        cdef Http2Head head = Http2Head.__new__(Http2Head)
        cdef char status_literal[MAX_STATUS_BYTES]
        cdef Py_ssize_t status_size, i
        # RFC 8441 section 5
        status_size = write_status(status_literal, 200 if status == 101 else status)
        head.literals = write_block(status_literal, status_size, fields, count)
        for i in range(count):
            if fields[i].name_size == 8 and is_priority(fields[i].name):
                head.priority = PyBytes_FromStringAndSize(fields[i].value, fields[i].value_size)
        return head


cdef bytes encode_literals(const Field* fields, Py_ssize_t count):
    return write_block(NULL, 0, fields, count)


cdef char* encode_length(char* at, long long length) noexcept:
    cdef char digits[20]
    cdef Py_ssize_t first = 20
    # From the end, since the number of them is not known before.
    while True:
        first -= 1
        digits[first] = <char>(c'0' + length % 10)
        length //= 10
        if length == 0:
            break
    at = write_number(at, CONTENT_LENGTH_NAME_INDEX, NOT_INSERTED, 0x0F)
    at = write_number(at, 20 - first, 0, 0x7F)
    memcpy(at, digits + first, 20 - first)
    return at + 20 - first


cdef bytes write_block(const char* start, Py_ssize_t start_size, const Field* fields, Py_ssize_t count):
    """A block of this start and the literals of all fields."""
    cdef Py_ssize_t size = start_size, i
    cdef bytes block
    cdef char* at
    for i in range(count):
        size += fields[i].name_size + fields[i].value_size + 3 * MAX_NUMBER_BYTES
    # Written in place, which is allowed while this function has the only reference.
    block = PyBytes_FromStringAndSize(NULL, size)
    at = PyBytes_AS_STRING(block)
    # C11 section 7.24.1: memcpy() may not get NULL, not even with a size of 0.
    if start_size:
        memcpy(at, start, start_size)
        at += start_size
    for i in range(count):
        at = write_literal(at, fields + i)
    return block[:at - PyBytes_AS_STRING(block)]


cdef Py_ssize_t write_status(char* at, int status) noexcept:
    """Writes :status (RFC 9113 section 8.3.2), of three digits, and returns the number of bytes."""
    if status_indices[status]:
        at[0] = <char>(0x80 | status_indices[status])
        return 1
    at[0] = <char>(INSERTED | STATUS_NAME_INDEX)
    at[1] = 3
    at[2] = <char>(c'0' + status // 100)
    at[3] = <char>(c'0' + status // 10 % 10)
    at[4] = <char>(c'0' + status % 10)
    return MAX_STATUS_BYTES


cdef char* write_literal(char* at, const Field* field) noexcept:
    """Writes a literal (RFC 7541 section 6.2). Returns the position after it."""
    cdef char lowered[MAX_KNOWN_NAME_BYTES]
    cdef const EncodedName* known = NULL
    cdef unsigned char indexing = NOT_INSERTED
    cdef Py_ssize_t i
    if 0 < field.name_size <= MAX_KNOWN_NAME_BYTES:
        for i in range(field.name_size):
            lowered[i] = <char>TOKEN[<unsigned char>field.name[i]]
        known = find_encoded_name(lowered, field.name_size)
    if known != NULL:
        indexing = known.indexing
        if indexing == INSERTED and field.name_size + field.value_size > MAX_INSERTED_BYTES:
            indexing = NOT_INSERTED
    if known != NULL and known.index:
        at = write_number(at, known.index, indexing, 0x3F if indexing == INSERTED else 0x0F)
    else:
        at[0] = <char>indexing
        at = write_number(at + 1, field.name_size, 0, 0x7F)
        # RFC 9113 section 8.2.1: in lower case.
        for i in range(field.name_size):
            at[i] = <char>TOKEN[<unsigned char>field.name[i]]
        at += field.name_size
    at = write_number(at, field.value_size, 0, 0x7F)
    memcpy(at, field.value, field.value_size)
    return at + field.value_size


cdef bint is_priority(const char* name) noexcept:
    cdef const char* priority = b"priority"
    cdef int i
    for i in range(8):
        if TOKEN[<unsigned char>name[i]] != <unsigned char>priority[i]:
            return False
    return True


cdef inline unsigned int name_bucket(const char* name, Py_ssize_t size) noexcept:
    # It only has to spread the names of the table. A name has at least one byte.
    cdef unsigned int first = <unsigned char>name[0]
    cdef unsigned int middle = <unsigned char>name[size >> 1]
    cdef unsigned int last = <unsigned char>name[size - 1]
    return (<unsigned int>size * 131 + first * 31 + middle * 61 + last * 7) & (NAME_BUCKETS - 1)


cdef const EncodedName* find_encoded_name(const char* name, Py_ssize_t size) noexcept:
    """The entry of a name in lower case, or NULL."""
    cdef unsigned int bucket = name_bucket(name, size)
    cdef const EncodedName* known
    while True:
        known = encoded_names + bucket
        if known.name == NULL:
            return NULL
        if (
            PyBytes_GET_SIZE(<object>known.name) == size
            and memcmp(PyBytes_AS_STRING(<object>known.name), name, size) == 0
        ):
            return known
        bucket = (bucket + 1) & (NAME_BUCKETS - 1)


cdef int add_encoded_name(bytes name, int index, Indexing indexing) except -1:
    cdef unsigned int bucket = name_bucket(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
    while encoded_names[bucket].name != NULL:
        if <object>encoded_names[bucket].name == name:
            # Several entries of the static table have this name. The first one counts.
            return 0
        bucket = (bucket + 1) & (NAME_BUCKETS - 1)
    # The reference of the table, which is never given up.
    Py_INCREF(name)
    encoded_names[bucket].name = <PyObject*>name
    encoded_names[bucket].index = <unsigned char>index
    encoded_names[bucket].indexing = indexing
    return 0


# Fields that most responses of a server have with the same value. Date is not one: its values would fill the table.
cdef frozenset REPEATED = frozenset((
    b"accept-ranges", b"access-control-allow-credentials", b"access-control-allow-headers",
    b"access-control-allow-methods", b"access-control-allow-origin", b"access-control-expose-headers",
    b"access-control-max-age", b"allow", b"alt-svc", b"cache-control", b"content-encoding", b"content-language",
    b"content-security-policy", b"content-type", b"cross-origin-embedder-policy", b"cross-origin-opener-policy",
    b"cross-origin-resource-policy", b"grpc-accept-encoding", b"grpc-encoding", b"grpc-status", b"permissions-policy",
    b"pragma", b"priority", b"referrer-policy", b"server", b"strict-transport-security", b"timing-allow-origin",
    b"vary", b"via", b"x-content-type-options", b"x-frame-options", b"x-powered-by", b"x-xss-protection",
))
cdef frozenset SECRET = frozenset((
    b"authentication-info", b"authorization", b"cookie", b"proxy-authentication-info", b"proxy-authorization",
    b"set-cookie", b"x-csrf-token", b"x-csrftoken", b"x-xsrf-token",
))


def _add_names() -> None:
    cdef bytes name
    cdef int index
    for index in range(1, MAX_STATIC_INDEX + 1):
        name = STATIC_FIELDS[index - 1][0]
        add_encoded_name(name, index, _indexing(name))
        if name == b":status":
            status_indices[int(<bytes>STATIC_FIELDS[index - 1][1])] = <unsigned char>index
    for name in REPEATED | SECRET:
        add_encoded_name(name, 0, _indexing(name))


cdef Indexing _indexing(bytes name):
    if name in SECRET:
        return NEVER_INSERTED
    return INSERTED if name in REPEATED else NOT_INSERTED


_add_names()
