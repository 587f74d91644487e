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


cdef class ObserverGroup(Observer):
    """Observers that are called one after the other."""

    def __init__(self, *members):
        cdef Observer member
        self.members = members
        for member in members:
            self.wants_response_headers |= member.wants_response_headers
            self.wants_queue_time |= member.wants_queue_time

    cdef int on_request_end(self, const RequestFacts* facts) except -1:
        cdef Observer member
        for member in self.members:
            member.on_request_end(facts)
        return 0

    cdef int reset_in_child(self) except -1:
        cdef Observer member
        for member in self.members:
            member.reset_in_child()
        return 0
