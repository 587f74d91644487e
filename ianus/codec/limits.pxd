"""Limits of one request, in bytes and fields. Checked while bytes arrive, before any object is built."""


cdef class Limits:
    cdef readonly Py_ssize_t limit_request_line         # bytes, without CRLF                 -> 414
    cdef readonly Py_ssize_t limit_request_field_size   # bytes of one field line             -> 431
    cdef readonly Py_ssize_t limit_request_fields_size  # bytes of all field lines            -> 431
    cdef readonly Py_ssize_t limit_request_fields       # number of fields                    -> 431
    cdef readonly long long max_request_body_size       # bytes of a decoded body, 0 = none   -> 413
