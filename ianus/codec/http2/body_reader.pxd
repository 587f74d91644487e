"""DATA frames (RFC 9113 section 6.1), with the flow control of received bytes (section 5.2)."""
cimport cython

from ianus.codec.base cimport ErrorCode, Request
from ianus.codec.http2.control cimport Http2Control
from ianus.codec.http2.receive_window cimport ReceiveWindow
from ianus.codec.http2.stream cimport Http2Stream


@cython.no_gc
cdef class Http2BodyReader(Http2Control):
    cdef ReceiveWindow window       # of the connection
    cdef long long max_body_bytes   # of a request, 0 = no limit
    # The DATA frame being read
    cdef Py_ssize_t data_left
    cdef Py_ssize_t padding_left    # also the rest of an unknown frame

    cdef int start_data(self) except -1
    cdef int set_padding(self, Py_ssize_t padding) except -1
    cdef int start_payload(self) except -1
    cdef Py_ssize_t read_payload(self, const char* data, Py_ssize_t size) except -1
    cdef int end_data(self) except -1
    cdef int end_request(self, Http2Stream entry) except -1     # END_STREAM was received
    cdef int give_credit(self, Http2Stream entry, Py_ssize_t size) except -1
    cdef int refuse_request(self, Http2Stream entry, int status, str reason, Request request, ErrorCode code) except -1
