"""The end of a request, for the code that logs, counts or traces requests."""
from cpython.object cimport PyObject


# One request and its response. The exchange that reports it owns the objects meanwhile.
cdef struct RequestFacts:
    PyObject* client            # (host, port), or None
    PyObject* method            # str; None for a request that could not be read, whose version is None too
    PyObject* target            # bytes as received
    PyObject* http_version      # str
    PyObject* headers           # list of the request's (lower-case name, value)
    PyObject* response_headers  # list of the response's (lower-case name, value), or None
    PyObject* request_id        # bytes, or None
    int status
    long long size              # bytes of the response's body that the kernel has taken
    double started              # the first byte of the request, in CLOCK_MONOTONIC seconds
    double queue_time           # seconds until the application was called; 0 = not known
    double duration             # seconds from then until the kernel had taken the last byte of the response


cdef class Observer:
    cdef readonly bint wants_response_headers   # the facts are to have response_headers
    cdef readonly bint wants_queue_time         # ... and queue_time, also without X-Request-Start

    # Called once a request, after its end, in the thread that serves the reactor. It may not keep the facts.
    cdef int on_request_end(self, const RequestFacts* facts) except -1
    cdef int reset_in_child(self) except -1     # this is the child of a fork: the requests are the parent's


cdef class ObserverGroup(Observer):
    cdef tuple members
