"""The requests of a worker that were not sent to statsd yet."""
from ianus.telemetry.observer cimport Observer


cdef enum:
    MAX_STATUS = 999
    MAX_DURATIONS = 512         # a thread formats each, which takes longer than to serve a small request


cdef class RequestSamples(Observer):
    cdef long long[MAX_STATUS + 1] statuses     # requests by status
    cdef double[MAX_DURATIONS] durations        # seconds of the first requests, ...
    cdef int kept                               # ... their number,
    cdef long long timed                        # ... and that of all requests with a duration
    cdef bint has_any
    cdef readonly object has_samples            # threading.Event: take() would return some

    cdef int clear_samples(self) noexcept
