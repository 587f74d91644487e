"""Encodes response heads. All fields were validated by the caller: nothing is checked again.

Compiled because every response passes here: 206 instructions for ASGI hello.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from ianus.codec.base cimport HeadEncoder
from ianus.codec.fields cimport Field
from ianus.codec.output cimport Output

from ianus.codec.reasons import REASONS


# Status lines by status, 100 to 999; made once, constant afterwards.
cdef tuple STATUS_LINES


def _status_line(int status) -> bytes:
    # RFC 9112 section 4: the space stays if the reason phrase is empty.
    return f"HTTP/1.1 {status} {REASONS.get(status, '')}\r\n".encode("ascii")


# 900 lines, so that applications may use any status with three digits at no cost.
STATUS_LINES = tuple([_status_line(status) for status in range(100, 1000)])


cdef class Http1HeadEncoder(HeadEncoder):
    cdef object encode(self, int status, bytes reason, const Field* fields, Py_ssize_t count):
        # The caller has checked that the phrase has no control characters.
        if reason is not None:
            return encode_fields(b"HTTP/1.1 %d %b\r\n" % (status, reason), fields, count)
        if status == 426:
            # RFC 9110 section 15.5.22: the response names the protocol to upgrade to. Applications cannot, since these
            # two fields are the server's.
            upgrade = b"connection: upgrade\r\nupgrade: websocket\r\n"
            return encode_fields(<bytes>STATUS_LINES[status - 100] + upgrade, fields, count)
        return encode_fields(<bytes>STATUS_LINES[status - 100], fields, count)


cdef bytes encode_fields(bytes line, const Field* fields, Py_ssize_t count):
    cdef Py_ssize_t size = PyBytes_GET_SIZE(line), i
    cdef bytes head
    cdef char* at
    for i in range(count):
        # 4 for the colon, the space and CRLF
        size += fields[i].name_size + fields[i].value_size + 4
    # Written in place, which is allowed while this function has the only reference. The head does not end with its
    # empty line: the codec adds fields.
    head = PyBytes_FromStringAndSize(NULL, size)
    at = PyBytes_AS_STRING(head)
    memcpy(at, PyBytes_AS_STRING(line), PyBytes_GET_SIZE(line))
    at += PyBytes_GET_SIZE(line)
    for i in range(count):
        # The pointers belong to the caller, and are valid during this call only.
        memcpy(at, fields[i].name, fields[i].name_size)
        at += fields[i].name_size
        at[0] = c':'
        at[1] = c' '
        at += 2
        memcpy(at, fields[i].value, fields[i].value_size)
        at += fields[i].value_size
        at[0] = c'\r'
        at[1] = c'\n'
        at += 2
    return head


cdef int write_length(Output out, long long length) except -1:
    """A Content-Length field."""
    cdef char text[48]
    cdef Py_ssize_t at = 48
    text[46] = c'\r'
    text[47] = c'\n'
    # Digits are written from the end, since the number of them is not known before.
    at = 46
    while True:
        at -= 1
        text[at] = <char>(c'0' + length % 10)
        length //= 10
        if length == 0:
            break
    at -= 16
    memcpy(text + at, b"content-length: ", 16)
    return out.write(text + at, 48 - at)


cdef int write_chunk_size(Output out, Py_ssize_t size) except -1:
    """The size line of a chunk, in hexadecimal."""
    cdef char text[20]
    cdef Py_ssize_t at = 18
    cdef const char* digits = b"0123456789abcdef"
    text[18] = c'\r'
    text[19] = c'\n'
    while True:
        at -= 1
        text[at] = digits[size & 15]
        size >>= 4
        if size == 0:
            break
    return out.write(text + at, 20 - at)
