"""A stream of a connection with several, as its session sees it."""
cimport cython
from ianus.codec.base cimport ErrorCode, Request
from ianus.exchange.base cimport flag
from ianus.exchange.http cimport Exchange


@cython.final
@cython.no_gc
cdef class OpenStream:
    # The codec owns it until release(). A cycle with the session by the exchange, which ends there too.
    cdef Exchange exchange
    cdef int stream
    cdef flag unstarted             # its application was not called yet
    # It is in the list of the session with this name.
    cdef flag noted
    cdef flag deferred
    cdef flag is_writable           # a part of its queued output was sent, and the exchange was not notified
    cdef flag waits_for_call        # admit_call() has refused, and the exchange is to be notified
    cdef flag has_thread            # its call counts among those of the connection that have a thread
    cdef flag tunnel                # its bytes are not HTTP since send_head()
    cdef flag is_connect            # it asks for a tunnel
    cdef flag input_ended           # the client has ended its side
    cdef flag was_reset             # ... or the whole stream; run() has to act
    cdef flag sent                  # the end of the response is in the output of the connection
    cdef flag over                  # nothing can be sent any more
    cdef int error_status           # of an invalid request that run() has to answer, 0 = none
    cdef str error_reason           # ... or the reason for was_reset, None if the client has reset it
    cdef Py_ssize_t uncredited      # bytes of the body that have arrived and were not reported to the codec as used
    cdef Py_ssize_t dropped         # bytes of the response that a reset has discarded


cdef OpenStream open_stream(int stream, Exchange exchange)
