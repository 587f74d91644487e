"""The request line: `method SP request-target SP HTTP-version` (RFC 9112 section 3)."""
from ianus.codec.http1.request cimport Http1Request


# Fills request. Returns 0, or the status of the error answer with a static text in reason.
cdef int parse_request_line(const char* line, Py_ssize_t size, Http1Request request, const char** reason) except -1

# The method and the beginning of the target of a line that is too long; None if it does not begin like that.
cdef Http1Request parse_truncated(const char* line, Py_ssize_t size)
