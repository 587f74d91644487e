"""The field lines of a request head, and the framing that follows from them (RFC 9112 sections 5, 6 and 9.3).

All rules against request smuggling are in this file and in codec/header_rules.
"""
from ianus.codec.field_cache cimport FieldCache, KnownField
from ianus.codec.http1.request cimport HeadFacts, Http1Request


# Appends (name, value) to headers and records it in facts. For trailers, facts is NULL and cache is None.
# Returns 0, or the status of the error response with a static text in reason.
cdef int parse_field_line(
    const char* line, Py_ssize_t size, list headers, HeadFacts* facts, const char** reason, FieldCache cache
) except -1

# The same for a line that is in the cache.
cdef int append_known(const KnownField* known, list headers, HeadFacts* facts, const char** reason) except -1

# Checks the whole head and completes the request. Returns 0 or a status, as above.
cdef int finish_head(Http1Request request, const char** reason) except -1
