"""The events of a connection of many streams, and the state that its session has."""
cimport cython
from ianus.codec.base cimport ErrorCode, MultiplexedCodec
from ianus.exchange.base cimport flag
from ianus.exchange.http_session cimport HttpSession
from ianus.exchange.open_stream cimport OpenStream


@cython.no_gc
cdef class StreamEvents(HttpSession):
    cdef MultiplexedCodec streams   # the codec of the connection, by its type
    # Streams with an event that run() has to act on, from index next_noted on
    cdef list noted
    cdef Py_ssize_t next_noted
    cdef list deferred              # streams that continue in flush_deferred()
    cdef list writable              # streams whose exchanges are to be notified that output was sent
    cdef list sent                  # streams whose complete response was sent
    cdef list senders               # streams that have sent files, until those were read
    cdef list waiting               # streams whose calls wait for the end of others
    cdef int thread_calls           # calls that have a thread, or wait for one in the queue of the pool
    cdef flag scheduled             # an application was put to the loop in this turn
    cdef flag unsent_limited        # the transport keeps little output, so that other streams may overtake it
    cdef flag ending                # nothing more is read
    cdef flag input_over            # the client has closed its side of the connection
    cdef flag drain_started
    cdef flag drained               # the codec has reported it
    # No deadline of a stream is earlier than this, in CLOCK_MONOTONIC seconds; 0 = there is none. It is a lower bound,
    # since bytes of the client move deadlines. So no turn looks at all streams.
    cdef double check_at
    cdef double idle_since          # since the last stream has ended
    cdef double drain_since         # since the client was asked to confirm the drain
    cdef ErrorCode failure          # a violation by the client that run() has to act on ...
    cdef str failure_reason         # ... None without one

    cdef OpenStream stream_of(self, int stream)
    cdef int note(self, OpenStream opened) except -1
    cdef int defer(self, OpenStream opened) except -1
