"""One WSGI request (PEP 3333): its application call, and the outbox between the two sides.

A WSGI exchange has two sides. The connection's side is like that of any other exchange: it belongs to the thread that
serves the reactor. The application's side is the one thread that runs call_application(). put_piece() puts the output
of the application into the outbox, and collect() takes it from there on the connection's side. Both hold the thread
pool's mutex. If a pool thread leads, one thread runs both, one after the other; under an event loop, two threads do.
"""
cimport cython
from ianus.codec.base cimport HeadEncoder
from ianus.exchange.response_head cimport ResponseFacts
from ianus.exchange.http cimport Exchange
from ianus.gateway.threads.idle_stack cimport IdleThread
from ianus.gateway.threads.predictor cimport Evidence


cdef enum:
    MAX_JOINED_BYTES = 65536    # blocks of a body are joined if they have at most this size together


cdef class WsgiExecutor:
    """The interface between a WSGI exchange and the threads that call applications."""
    cdef int submit(self, WsgiExchange exchange) except -1  # queues a complete request; from the connection's side
    cdef int lock(self) except -1                           # takes the mutex; from the application's side
    cdef int unlock(self) except -1
    # The exchange has filled its outbox; the mutex is held.
    cdef int notify_outbox(self, WsgiExchange exchange) except -1
    # Take and release the mutex from the connection's side. No-ops if a pool thread leads: it holds the mutex already.
    cdef int lock_shared(self) except -1
    cdef int unlock_shared(self) except -1
    # Waits until the client has read more of the response. The mutex is held, and released while waiting.
    cdef int wait_until_writable(self, WsgiExchange exchange) except -1
    cdef int resume_writer(self, WsgiExchange exchange) except -1   # ends that wait


@cython.no_gc
cdef class WsgiExchange(Exchange):
    # The request, on the connection's side until it is submitted
    cdef object spool               # gateway/wsgi/spool.SpoolFile of a big body, or None
    cdef str spool_error            # reason why the body could not be stored, or None
    cdef long long body_size        # bytes of the body
    cdef bint submitted
    cdef bint dequeued              # a thread has taken it from the queue; guarded by the mutex

    # The thread pool's
    cdef WsgiExchange next          # in the queue
    cdef Evidence* evidence         # owned by the gateway's predictor
    cdef IdleThread* calling_thread     # the thread that makes the call, during it; owned by its PoolThread

    # The application's side
    cdef HeadEncoder encoder        # of heads, which needs no connection
    cdef bint start_called          # start_response() was called, perhaps with an error
    cdef object prepared            # head that start_response() has checked, until it is put into the outbox
    cdef int prepared_status        # 0 = start_response() has not succeeded
    cdef ResponseFacts facts
    cdef bint head_taken            # the head was put into the outbox
    cdef bint body_over             # no more of the body is accepted
    cdef bint excess_reported       # the log has: the body is longer than declared
    cdef long long expected_length  # bytes of the whole body, -1 = not known
    cdef long long produced_bytes   # bytes of the body so far
    cdef object last_piece          # last piece of the body, put into the outbox when the call has returned
    cdef bint failed                # the response cannot be completed

    # The outbox, guarded by the mutex
    cdef list out_hints
    cdef object out_head            # the head until collect() has taken it, else None
    cdef long long out_length       # computed Content-Length, -1 = none
    cdef list out_pieces            # bytes and FileRanges
    cdef bint out_end, out_failed, out_returned
    cdef bint posted                # the connection's side was notified
    cdef Py_ssize_t unsent_bytes    # bytes put into the outbox that have not been sent
    cdef bint waits_for_client      # the thread is in wait_until_writable()

    # Called by the thread pool
    cdef int call_application(self) except -1   # without the mutex
    cdef int put_last_piece(self) except -1     # after call_application(), with the mutex
    cdef int collect(self) except -1            # on the connection's side
    cdef int discard_outbox(self) except -1     # instead of collect(), after the server has closed
    # Connection's side
    cdef int send_collected(self, list hints, object head, list pieces, bint end, bint failed) except -1
    cdef int remove_from_flight(self) except -1
    # Application's side
    cdef int run_application(self) except -1
    cdef dict environ(self)
    cdef int send_result(self, object result) except -1
    cdef int send_sequence(self, object blocks) except -1
    cdef int send_part(self, object part) except -1
    cdef int declare_length(self, long long size) except -1
    cdef int send_block(self, object block) except -1
    cdef bytes clip_block(self, object block)
    cdef int put_piece(self, object piece, bint end) except -1
    cdef int send_piece(self, object piece, bint end) except -1
    cdef int on_application_raised(self, object error) except -1
    cdef int report_raised(self, str phrase, object error) except -1
