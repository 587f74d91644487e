"""Parsing of the request line, strictly (RFC 9112 section 3).

Facts: nearly every line is origin-form, ASCII, without percent signs. Strategy: the version is found from the
end, because its length is fixed. All versions of HTTP share codec/request_target for the parts of a target.

Compiled because every request passes here: 204 instructions for ASGI hello.
"""
import sys

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.string cimport memchr, memcmp

from ianus.codec.fields cimport TOKEN, is_host
from ianus.codec.http1.request cimport Http1Request
from ianus.codec.request_target cimport is_target_byte, method_name, scan_target, set_path, set_query


cdef enum:
    LOGGED_TARGET_BYTES = 2048  # maximum bytes of a target that is too long in logs

# Interned, so that others can compare it by identity.
cdef str VERSION_1_1 = sys.intern("1.1")


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
        # Usually a client that uses HTTP/2 without TLS, as of gRPC.
        reason[0] = "HTTP/2 on an address without it; see --http2-cleartext" if version[5] == c'2' else (
            "HTTP version not supported"
        )
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

    if not scan_target(target, target_size, &path_end, &escaped):
        # A byte that is not allowed could end the line in a log, so the target is not kept.
        if status == 0:
            reason[0] = "invalid byte in request target"
            status = 400
        return status
    # Set before the checks that follow: logs name the refused target.
    request.target = PyBytes_FromStringAndSize(target, target_size)
    if status:
        # For the log only
        request.http_version = PyUnicode_DecodeASCII(line + size - 3, 3, NULL)
        return status
    request.http_version = VERSION_1_1 if request.minor else "1.0"
    set_query(request, target, target_size, path_end)

    # origin-form (RFC 9112 section 3.2.1) is the usual one.
    if target[0] != c'/':
        status = parse_other_form(target, target_size, path_end, request, &path_start, reason)
        if status:
            return status
    elif is_connect:
        reason[0] = "CONNECT is not supported"
        return 501

    set_path(request, target, target_size, path_start, path_end, escaped)
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
