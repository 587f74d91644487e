"""The method and the target of a request (RFC 9110 section 7.1), as all versions of HTTP have them."""
from cpython.bytes cimport PyBytes_FromStringAndSize

from ianus.codec.base cimport Request


cdef inline bint is_target_byte(unsigned char c) noexcept:
    # RFC 3986 allows fewer characters. Browsers send some of the others, such as "|". A fragment is never sent (RFC
    # 9110 section 4.2.5).
    return 0x21 <= c <= 0x7E and c != c'#'


cdef inline bint scan_target(const char* target, Py_ssize_t size, Py_ssize_t* path_end, bint* escaped) noexcept:
    """Whether all bytes are valid. Finds the first question mark, or the end, and whether there is a percent sign."""
    cdef Py_ssize_t i
    cdef unsigned char c
    path_end[0] = -1
    escaped[0] = False
    for i in range(size):
        c = <unsigned char>target[i]
        if not is_target_byte(c):
            return False
        if c == c'?':
            # Later ones belong to the query.
            if path_end[0] < 0:
                path_end[0] = i
        elif c == c'%':
            escaped[0] = True
    if path_end[0] < 0:
        path_end[0] = size
    return True


cdef inline int set_query(Request request, const char* target, Py_ssize_t size, Py_ssize_t path_end) except -1:
    if path_end == size:
        request.query_string = b""
    else:
        # Raw bytes: only the application knows its encoding.
        request.query_string = PyBytes_FromStringAndSize(target + path_end + 1, size - path_end - 1)
    return 0


# The interned name of a common method, or a new string.
cdef str method_name(const char* method, Py_ssize_t size)
# Sets the paths of a request whose method and target are set. `target` has the bytes of request.target, and was
# scanned.
cdef int set_path(
    Request request, const char* target, Py_ssize_t size, Py_ssize_t path_start, Py_ssize_t path_end, bint escaped
) except -1
