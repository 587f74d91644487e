"""The threads that call WSGI applications, and which of them leads.

Every lock and shared word is named here. `lock` is the one big one: its holder alone uses the reactor, its connections
and exchanges, the queue and all counts. It is held while the reactor is served and not while an application
runs or a thread sleeps; nobody waits for the GIL with it. With an event loop, which owns the reactor, it guards the
queue and the outboxes only. Below it come the parking's lock and the leader's word (watchdog.pxd), in that order.
"""
from libc.stdint cimport uint64_t

from ianus.exchange.base cimport Poller
from ianus.gateway.threads.thread_api cimport PyThread_type_lock
from ianus.gateway.threads.idle_stack cimport Order, Parking, Place
from ianus.gateway.threads.watchdog cimport Watchdog
from ianus.gateway.wsgi.gateway cimport Threads, WsgiExchange


cdef class Member:
    """One thread."""
    cdef Place place                # others point to it while this object is among the crew's members
    cdef object thread
    cdef unsigned long ident
    cdef uint64_t epoch             # of the leader's word, when it last wrote it
    cdef WsgiExchange exchange      # whose application it calls, or None; under the lock
    cdef double since               # when that began


cdef class Crew(Threads):
    cdef Poller poller
    cdef bint shared                # an event loop serves the reactor, not the leader
    cdef PyThread_type_lock lock    # see above
    cdef unsigned long holder       # the thread that has it, 0 = none

    # Under the lock
    cdef WsgiExchange first, last   # the queue: requests that are complete and wait for a thread
    cdef int calls                  # application calls now
    cdef int asked                  # ... at most, as the crew was made
    cdef int limit                  # ... and as many as the system gives threads for
    cdef double again               # when it is asked for more, 0 = it gave what was wanted
    cdef double complained_at       # when that was logged last, 0 = never
    cdef int most                   # threads at most: one more than calls, which polls
    cdef list members
    cdef list leavers               # threads of members that have left since it is stopping
    cdef int hired                  # threads so far, for their names
    cdef Place* leader              # of who took the lead last and has not handed it over; it may have been deposed
    cdef double settled             # when what the leader's calls had produced was sent last
    cdef Place* home                # where all calls are made when there is to be one at a time, else NULL
    cdef bint pinned                # ... which is the thread that called serve_pinned(), not one of the crew's
    cdef bint has_signals           # ... and has to run Python's signal handlers
    cdef bint sleeping              # the leader waits for something to do
    cdef bint stopping
    cdef bint closed                # there is no reactor any more
    cdef object on_gone             # called when the last thread has left
    cdef list posted                # exchanges whose outbox the event loop is to empty
    cdef bint signalled             # ... which it was told

    cdef Parking parking
    cdef Watchdog watchdog
    cdef PyThread_type_lock work    # a binary semaphore: the leader sleeps on it where it does not poll

    cdef int lead(self, Member me) except -1
    cdef int settle(self) except -1
    cdef int follow(self, Member me) except -1
    cdef int make_call(self, Member me, WsgiExchange exchange) except -1
    cdef WsgiExchange next_call(self)
    cdef int put_back(self, WsgiExchange exchange) except -1
    cdef bint serve(self) except -1
    cdef int sleep(self) except -1
    cdef int doze(self) noexcept nogil
    cdef int run_signal_handlers(self, bint in_call) except -1
    cdef int wake(self) except -1
    cdef bint hand_over(self) except -1
    cdef bint hire(self, Order order) except -1
    cdef int depart(self, Member me) except -1
