"""An HTTP conversation in which one exchange follows the other: HTTP/1."""
cimport cython
from ianus.codec.base cimport Request
from ianus.exchange.base cimport Session, SessionFactory, flag
from ianus.exchange.http cimport Exchange
from ianus.exchange.service cimport Service


@cython.no_gc
cdef class HttpSession(Session):
    cdef Service service
    # The exchange whose request is being read or whose response is not complete; None between two.
    cdef Exchange exchange
    cdef flag unstarted             # ... and its application was not called yet
    cdef flag scheduled             # ... or was put to the loop in this turn
    cdef flag ending                # no further request is wanted
    cdef flag head_begun            # a part of a head has arrived, at `since`
    cdef flag used                  # a request was answered
    # A protocol error that run() has to answer
    cdef int error_status           # 0 = none
    cdef str error_reason
    cdef double since               # the first byte of a head, or the end of the last exchange

    # Exchanges that have ended and are logged when their output has left; the first one, linked by `following`
    cdef Exchange first_unlogged

    cdef bint congested(self) noexcept
    cdef double request_start(self) noexcept
    cdef int log_when_taken(self, Exchange exchange) except -1
    cdef int note_end(self, Exchange exchange) except -1
    cdef int log_first(self, long long taken) except -1
    cdef bint is_stopping(self) noexcept
    cdef int answer_protocol_error(self) except -1
    cdef int reject_over_limit(self, str limit) except -1
    cdef int end_exchange(self) except -1
    cdef int answer_and_close(self, int status, str reason) except -1
    cdef int answer_unread_request(self, Request request, int status, str reason) except -1
    cdef int log_rejection(self, int status, str reason, Request request) except -1


cdef class HttpSessionFactory(SessionFactory):
    cdef Service service
