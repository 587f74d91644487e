"""Parsing of the request line, strictly (RFC 9112 section 3).

Facts: nearly every line is origin-form, ASCII, without percent signs. Strategy: the version is found from the
end, because its length is fixed; one pass over the target checks its bytes and notes `?` and `%`.
Rule: the path is decoded, never rewritten; dot segments and doubled slashes are the application's.

Compiled because every request passes here: 204 instructions for ASGI hello.
"""
import sys

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.unicode cimport PyUnicode_DecodeASCII, PyUnicode_DecodeUTF8
from libc.string cimport memchr, memcmp

from ianus.codec.fields cimport TOKEN, hex_value, is_host
from ianus.codec.http1.request cimport Http1Request


cdef enum:
    LOGGED_TARGET_BYTES = 2048  # maximum bytes of a target that is too long in logs

# Interned, so that others can compare it by identity.
cdef str VERSION_1_1 = sys.intern("1.1")


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


cdef bint is_http_scheme(const char* target, Py_ssize_t size, Py_ssize_t* authority) noexcept:
    """Whether target starts with http:// or https://, in any case (RFC 3986 section 3.1)."""
    cdef const char* scheme = b"https"
    cdef Py_ssize_t i = 0
    # TOKEN gives lower case.
    while i < 5 and i < size and TOKEN[<unsigned char>target[i]] == <unsigned char>scheme[i]:
        i += 1
    # i is 4 for "http" and 5 for "https".
    if i < 4 or size < i + 3 or memcmp(target + i, b"://", 3) != 0:
        return False
    authority[0] = i + 3
    return True


cdef inline bint is_target_byte(unsigned char c) noexcept:
    # RFC 3986 allows fewer characters. Browsers send some of the others, such as "|". A fragment is never sent (RFC
    # 9110 section 4.2.5).
    return 0x21 <= c <= 0x7E and c != c'#'


cdef int parse_version(const char* version, int* minor, const char** reason) noexcept:
    """HTTP-version = "HTTP/" DIGIT "." DIGIT, case-sensitive (RFC 9112 section 2.3)."""
    if (
        # The caller has checked that eight bytes are there.
        memcmp(version, b"HTTP/", 5) != 0
        or not c'0' <= version[5] <= c'9' or version[6] != c'.' or not c'0' <= version[7] <= c'9'
    ):
        reason[0] = "malformed request line"
        return 400
    if version[5] != c'1':
        reason[0] = "HTTP version not supported"
        # RFC 9110 section 15.6.6
        return 505
    # A minor version above ours is to be read as the highest that we know (RFC 9110 section 2.5).
    minor[0] = 0 if version[7] == c'0' else 1
    return 0


cdef int parse_other_form(
    const char* target,
    Py_ssize_t target_size,
    Py_ssize_t path_end,
    Http1Request request,
    Py_ssize_t* path_start,
    const char** reason,
) except -1:
    """Parses a target that does not start with a slash. Returns 0, or the status of the error response."""
    cdef const char* slash
    cdef Py_ssize_t authority_size
    # authority-form (RFC 9112 section 3.2.3) would ask for a proxy.
    if request.method == "CONNECT":
        reason[0] = "CONNECT is not supported"
        return 501
    if target_size == 1 and target[0] == c'*':
        # asterisk-form (RFC 9112 section 3.2.4)
        # RFC 9110 section 9.3.7: the one method for which it is defined.
        if request.method != "OPTIONS":
            reason[0] = "asterisk-form is only for OPTIONS"
            return 400
        # path_start stays 0, and the caller takes "*" as the path.
        return 0
    if not is_http_scheme(target, target_size, path_start):
        reason[0] = "invalid request target"
        return 400
    # absolute-form (RFC 9112 section 3.2.2): its authority counts, its scheme does not.
    # Searched only up to the question mark, which may have slashes after it.
    slash = <const char*>memchr(target + path_start[0], c'/', path_end - path_start[0])
    authority_size = (path_end if slash == NULL else slash - target) - path_start[0]
    # RFC 9110 section 4.2.1: an empty host is invalid. is_host() also refuses userinfo (section 4.2.4).
    if authority_size == 0 or not is_host(target + path_start[0], authority_size):
        reason[0] = "invalid authority in request target"
        return 400
    # Replaces the Host field in finish_head().
    request.authority = PyBytes_FromStringAndSize(target + path_start[0], authority_size)
    path_start[0] += authority_size
    return 0


cdef int parse_request_line(const char* line, Py_ssize_t size, Http1Request request, const char** reason) except -1:
    cdef const char* target
    cdef Py_ssize_t i = 0, target_size, path_start = 0, path_end
    cdef bint escaped = False, is_connect
    cdef unsigned char c
    cdef int status
    reason[0] = "malformed request line"

    # The method, then exactly one space. RFC 9112 section 3 warns that lenient splitting allows request smuggling.
    while i < size and TOKEN[<unsigned char>line[i]]:
        i += 1
    # The shortest rest is " x HTTP/1.1".
    if i == 0 or size - i < 11 or line[i] != c' ' or line[size - 9] != c' ':
        return 400
    request.method = method_name(line, i)
    is_connect = i == 7 and memcmp(line, b"CONNECT", 7) == 0
    target = line + i + 1
    target_size = size - 9 - (i + 1)
    # Before the target: a line without a version is not a request line.
    status = parse_version(line + size - 8, &request.minor, reason)
    if status == 400:
        return status

    # Position of the first question mark. Later ones belong to the query.
    path_end = -1
    for i in range(target_size):
        c = <unsigned char>target[i]
        if not is_target_byte(c):
            # A byte that is not allowed could end the line in a log, so the target is not kept.
            if status == 0:
                reason[0] = "invalid byte in request target"
                status = 400
            return status
        if c == c'?':
            if path_end < 0:
                path_end = i
        elif c == c'%':
            escaped = True
    # Set before the checks that follow: logs name the refused target.
    request.target = PyBytes_FromStringAndSize(target, target_size)
    if status:
        # For the log only
        request.http_version = PyUnicode_DecodeASCII(line + size - 3, 3, NULL)
        return status
    request.http_version = VERSION_1_1 if request.minor else "1.0"
    if path_end < 0:
        path_end = target_size
        request.query_string = b""
    else:
        # Raw bytes: only the application knows its encoding.
        request.query_string = PyBytes_FromStringAndSize(target + path_end + 1, target_size - path_end - 1)

    # origin-form (RFC 9112 section 3.2.1) is the usual one.
    if target[0] != c'/':
        status = parse_other_form(target, target_size, path_end, request, &path_start, reason)
        if status:
            return status
    elif is_connect:
        reason[0] = "CONNECT is not supported"
        return 501

    if path_start == path_end:
        # An absolute-form without a path is the same as "/" (RFC 9110 section 4.2.3), except for OPTIONS: there it
        # means the server itself (RFC 9112 section 3.2.4).
        request.path = "*" if request.method == "OPTIONS" else "/"
        request.raw_path = b"*" if request.method == "OPTIONS" else b"/"
        return 0
    if path_start == 0 and path_end == target_size:
        # The same object, without a copy, for the usual request without a query.
        request.raw_path = request.target
    else:
        request.raw_path = PyBytes_FromStringAndSize(target + path_start, path_end - path_start)
    if escaped:
        request.path = decode_path(target + path_start, path_end - path_start)
    else:
        # The loop above has checked that all bytes are ASCII.
        request.path = PyUnicode_DecodeASCII(target + path_start, path_end - path_start, NULL)
    return 0


cdef Http1Request parse_truncated(const char* line, Py_ssize_t size):
    cdef Http1Request request
    cdef Py_ssize_t start, end, i = 0
    # The line is too long to be read to its end, so the version is not known.
    while i < size and TOKEN[<unsigned char>line[i]]:
        i += 1
    # A method that is not complete shows nothing that is worth a line in the log.
    if i == 0 or i == size or line[i] != c' ':
        return None
    start = end = i + 1
    while end < size and end < start + LOGGED_TARGET_BYTES and is_target_byte(<unsigned char>line[end]):
        end += 1
    request = Http1Request.__new__(Http1Request)
    request.headers = []
    request.method = method_name(line, i)
    request.target = PyBytes_FromStringAndSize(line + start, end - start)
    return request
