"""Limits of one request (RFC 9110 section 17.5: a server protects itself from excessive input)."""


cdef class Limits:
    """Immutable sizes in bytes. A violated limit answers 414, 431 or 413 and closes the connection.

    Raises ValueError for a size that no request could meet.
    """

    def __init__(
        self,
        *,
        Py_ssize_t request_line=8192,
        Py_ssize_t field_size=16384,
        Py_ssize_t fields_size=65536,
        Py_ssize_t fields=100,
        long long body_size=1 << 30,
    ):
        if request_line < 16 or field_size < 16 or fields_size < 16 or fields < 1 or body_size < 0:
            raise ValueError("limits: at least 16 bytes a line, 1 field, and no negative body size")
        self.request_line = request_line
        self.field_size = field_size
        self.fields_size = fields_size
        self.fields = fields
        self.body_size = body_size
