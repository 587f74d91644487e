"""The parts of a request target, which all versions of HTTP share.

Facts: nearly every target is ASCII, without percent signs. Strategy: one pass over it checks its bytes and notes `?`
and `%`. Rule: the path is decoded, never rewritten; dot segments and doubled slashes are the application's.

Compiled because it parses the target of every request.
"""
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.unicode cimport PyUnicode_DecodeASCII, PyUnicode_DecodeUTF8
from libc.string cimport memcmp

from ianus.codec.base cimport Request
from ianus.codec.fields cimport hex_value


cdef str decode_path(const char* path, Py_ssize_t size):
    """Percent-decodes (RFC 3986 section 2.1) as UTF-8; bad escapes stay literal, bad UTF-8 becomes U+FFFD."""
    # Owned by this call. Decoding never makes a path longer.
    cdef char* decoded = <char*>PyMem_Malloc(size)
    cdef Py_ssize_t i = 0, n = 0
    cdef int high, low
    if decoded == NULL:
        raise MemoryError
    try:
        while i < size:
            # Decoded once and not again: %252e stays %2e, or a check of the path could be evaded.
            if path[i] == c'%' and i + 2 < size:
                high = hex_value(path[i + 1])
                low = hex_value(path[i + 2])
                if high >= 0 and low >= 0:
                    decoded[n] = <char>(high * 16 + low)
                    n += 1
                    i += 3
                    continue
            decoded[n] = path[i]
            n += 1
            i += 1
        # Not an error: the application answers such a path, usually by 404.
        return PyUnicode_DecodeUTF8(decoded, n, "replace")
    finally:
        # Also if the decoding raises
        PyMem_Free(decoded)


cdef str method_name(const char* method, Py_ssize_t size):
    """The interned name of a common method, or a new string."""
    if size == 3 and memcmp(method, b"GET", 3) == 0:
        # Cython interns the literals, and other modules compare them by identity.
        return "GET"
    if size == 4 and memcmp(method, b"POST", 4) == 0:
        return "POST"
    if size == 4 and memcmp(method, b"HEAD", 4) == 0:
        return "HEAD"
    if size == 3 and memcmp(method, b"PUT", 3) == 0:
        return "PUT"
    # Only token characters, which are ASCII, so this cannot fail. Methods are case-sensitive (RFC 9110 section 9.1).
    return PyUnicode_DecodeASCII(method, size, NULL)


cdef int set_path(
    Request request, const char* target, Py_ssize_t size, Py_ssize_t path_start, Py_ssize_t path_end, bint escaped
) except -1:
    if path_start == path_end:
        # An absolute-form without a path is the same as "/" (RFC 9110 section 4.2.3), except for OPTIONS: there it
        # means the server itself (RFC 9112 section 3.2.4).
        request.path = "*" if request.method == "OPTIONS" else "/"
        request.raw_path = b"*" if request.method == "OPTIONS" else b"/"
        return 0
    if path_start == 0 and path_end == size:
        # The same object, without a copy, for the usual request without a query.
        request.raw_path = request.target
    else:
        request.raw_path = PyBytes_FromStringAndSize(target + path_start, path_end - path_start)
    if escaped:
        request.path = decode_path(target + path_start, path_end - path_start)
    else:
        # scan_target() has checked that all bytes are ASCII.
        request.path = PyUnicode_DecodeASCII(target + path_start, path_end - path_start, NULL)
    return 0
