"""The request line: `method SP request-target SP HTTP-version` (RFC 9112 section 3)."""
from ianus.codec.http1.request cimport Http1Request


# Fills request. Returns 0, or the status of the error response with a static text in reason.
cdef int parse_request_line(const char* line, Py_ssize_t size, Http1Request request, const char** reason) except -1

# Parses the method and the first bytes of the target of a line that is too long, for logs. Returns None if it does
# not start like a request line.
cdef Http1Request parse_truncated(const char* line, Py_ssize_t size)
