"""The one owner of the numbers of requests and WebSockets in flight, and of their limits."""
from ianus.telemetry.in_flight cimport InFlight


cdef enum InFlightKind:
    NOT_COUNTED
    COUNTED_REQUEST
    COUNTED_WEBSOCKET
    COUNTED_THREAD_WEBSOCKET    # its call holds a thread as long as it is open
    COUNT_ENDED                 # an exchange that was counted, so its application has perhaps run


# Whether, and how, an exchange is counted. It is a part of the exchange; only the counter writes it.
cdef struct InFlightMark:
    unsigned char kind      # an InFlightKind
    unsigned char entry     # in the list that the supervisor reads, 0 = none


cdef class InFlightCounter:
    cdef readonly Py_ssize_t requests       # application calls that have not returned, and bodies that wait for theirs
    cdef readonly Py_ssize_t websockets     # application calls for WebSockets that have not returned
    cdef bint has_limits
    cdef int limit_concurrency              # --limit-concurrency, 0 = none
    cdef Py_ssize_t limit_websockets        # --limit-websockets, 0 = none
    cdef Py_ssize_t thread_websockets       # those of `websockets` that hold a thread
    cdef Py_ssize_t limit_thread_websockets     # their limit; 0 = none is accepted
    cdef InFlight listed                    # memory that the supervisor reads, or None

    # Returns the reached limit, as messages name it, or None.
    cdef str exceeded_limit(self, InFlightKind kind)
    # Counts an exchange, and lists it if it is a request. It must not be counted already.
    cdef int add(self, InFlightMark* mark, InFlightKind kind, str method, bytes target) except -1
    cdef int remove(self, InFlightMark* mark) except -1     # once; further calls for the same exchange do nothing
    cdef int reset_in_child(self) except -1                 # a forked child does not write to the list of its parent
