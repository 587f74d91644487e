"""The reactor: waits for events of all client sockets, watched by an event loop or blocking by itself."""
from ianus.acceptor.accepting cimport Accepting
from ianus.acceptor.connection cimport Connection, ConnectionHost
from ianus.acceptor.connection_table cimport ConnectionTable
from ianus.acceptor.deadlines cimport DeadlineTimer
from ianus.acceptor.draining cimport Draining
from ianus.acceptor.handshakes cimport Handshakes
from ianus.acceptor.poll.base cimport BATCH_EVENTS, Poll, PollEvent
from ianus.acceptor.resume_queue cimport ResumeQueue
from ianus.runtime.waker cimport Waker


cdef class Reactor(ConnectionHost):
    cdef object __weakref__         # for the fork handler, which lives as long as the process
    cdef Poll poll
    cdef readonly Waker waker       # that of `poll`
    cdef bint is_open               # until close(), or a fork in which this is the child's copy

    # The current batch; here and not on the stack, so that a nested call continues at its index
    cdef PollEvent[BATCH_EVENTS] batch
    cdef int index, ready
    cdef Handshakes handshakes

    cdef readonly ConnectionTable table
    cdef DeadlineTimer deadlines
    cdef readonly Accepting accepting
    cdef readonly Draining draining
    cdef ResumeQueue resume_queue
    cdef object loop
    cdef object call_soon           # in the context that attach() was called in, never a request's
    cdef object drained             # callback of drain(), when the last connection has gone

    cdef int run_turn(self, int milliseconds) except -1
    cdef int dispatch_batch(self) except -1
    cdef int dispatch_event(self, PollEvent* event) except -1
    cdef int handle_event(self, PollEvent* event) except -1
    cdef int expire_deadlines(self, double now) except -1
