"""The priority of a response (RFC 9218 section 4)."""


cdef enum:
    URGENCIES = 8
    DEFAULT_URGENCY = 3         # RFC 9218 section 4.1
    MAX_PRIORITY_BYTES = 256    # of a value that is read


cdef struct Priority:
    unsigned char urgency       # 0 is served first
    unsigned char incremental   # the client can use parts, so such streams share the connection


# Changes the parameters that a value of the Priority field has. An invalid value has none.
cdef void parse_priority(const char* value, Py_ssize_t size, Priority* priority) noexcept
