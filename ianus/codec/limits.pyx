"""Limits of one request (RFC 9110 section 17.5: a server protects itself from excessive input)."""


cdef class Limits:
    """Immutable; each has the name of its setting. A violated limit answers 414, 431 or 413 and closes the connection.
    """

    def __init__(
        self,
        *,
        Py_ssize_t limit_request_line,
        Py_ssize_t limit_request_field_size,
        Py_ssize_t limit_request_fields_size,
        Py_ssize_t limit_request_fields,
        long long max_request_body_size,
    ):
        # The schema has the defaults and checks the ranges, so that neither is repeated here.
        self.limit_request_line = limit_request_line
        self.limit_request_field_size = limit_request_field_size
        self.limit_request_fields_size = limit_request_fields_size
        self.limit_request_fields = limit_request_fields
        # 0: bodies are not limited.
        self.max_request_body_size = max_request_body_size
