"""An HTTP conversation in which one exchange follows the other: HTTP/1."""
cimport cython
from ianus.codec.base cimport Request, SerialCodecFactory
from ianus.exchange.base cimport flag
from ianus.exchange.connection_info cimport ConnectionInfo
from ianus.exchange.http cimport Exchange
from ianus.exchange.http_session cimport HttpSession, HttpSessionFactory


@cython.no_gc
cdef class Http1Session(HttpSession):
    # The exchange whose request is being read or whose response is not complete; None between two.
    cdef Exchange exchange
    cdef flag unstarted             # ... and its application was not called yet
    cdef flag scheduled             # ... or was put to the loop in this turn
    cdef flag ending                # no further request is wanted
    cdef flag head_begun            # a part of a head has arrived, at `since`
    cdef flag used                  # a request was answered
    cdef flag input_cut             # the conversation ended while the peer was perhaps still sending
    # A protocol error that run() has to answer
    cdef short error_status         # 0 = none
    cdef str error_reason
    cdef double since               # the first byte of a head, or the end of the last exchange

    cdef bint output_is_full(self) noexcept
    cdef int end_exchange(self) except -1
    cdef int answer_and_close(self, int status, str reason) except -1


cdef class Http1SessionFactory(HttpSessionFactory):
    cdef SerialCodecFactory codecs
