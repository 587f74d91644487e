"""Lines of the access log: a format, taken apart once, and filled for each response."""
from cpython.object cimport PyObject

from ianus.telemetry.observer cimport RequestFacts


# The kind of a part of a line.
cdef enum Atom:
    LITERAL
    CLIENT
    USER
    TIME
    REQUEST_LINE
    METHOD
    PATH
    QUERY
    TARGET
    PROTOCOL
    STATUS
    SIZE                # of the body, in bytes
    SIZE_OR_DASH
    SECONDS
    MILLISECONDS
    MICROSECONDS
    DECIMAL_SECONDS
    QUEUE_SECONDS       # before the application was called
    PROCESS
    REQUEST_FIELD       # `text` is its lower-case name
    RESPONSE_FIELD
    REQUEST_ID          # a member of a JSON object, if there is one


cdef struct Part:
    Atom atom
    PyObject* name      # of a field, bytes; NULL if the atom has none ...
    const char* text    # ... or the text of a LITERAL; both are owned by LineFormat.texts
    Py_ssize_t size


cdef class LineFormat:
    cdef readonly Py_ssize_t max_line_size  # bytes that a line can have
    cdef readonly bint shows_response       # response_headers are of interest
    cdef readonly bint shows_queue_time     # so is queue_time
    cdef bint json                          # texts are JSON strings, and null for none
    cdef Part* parts                        # malloc'ed, owned by this object
    cdef Py_ssize_t count
    cdef list texts
    # The time of the last line, remade when the second changes
    cdef bytes stamp
    cdef long stamp_second

    # Writes a line at `at`, which has space for `max_line_size` bytes. Returns the position after it.
    cdef char* write(self, char* at, const RequestFacts* facts) except NULL
    cdef char* write_part(self, char* at, const RequestFacts* facts, const Part* part) except NULL
    cdef char* write_request_line(self, char* at, const RequestFacts* facts) except NULL
    cdef char* write_path(self, char* at, const RequestFacts* facts, Atom atom) except NULL
    cdef char* write_protocol(self, char* at, const RequestFacts* facts) except NULL
    cdef char* write_request_id(self, char* at, const RequestFacts* facts) except NULL
    cdef char* write_field(self, char* at, list headers, bytes name) except NULL
    cdef char* write_text(self, char* at, str text) except NULL
    cdef char* write_none(self, char* at) noexcept
    cdef char* write_chosen(self, char* at, const char* data, Py_ssize_t size) noexcept
    cdef bytes time_stamp(self)
