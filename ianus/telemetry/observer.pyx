"""The base class of observers of requests. A service has one, or none, which then costs nothing.

Compiled because compiled classes are observers.
"""


# Subclasses get borrowed references, which are valid during the call only.
cdef class Observer:
    cdef int on_request_end(self, const RequestFacts* facts) except -1:
        raise NotImplementedError

    cdef int reset_in_child(self) except -1:
        # For an observer without threads or files
        return 0
