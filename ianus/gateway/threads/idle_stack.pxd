"""Threads that have nothing to do, the most recently parked one first.

Why that order: at concurrency k the same few threads then serve all requests, so thread-local database connections stay
few, and threads that are not needed age at the bottom, where they leave.
"""
from ianus.gateway.threads.thread_api cimport PyThread_type_lock, clockid_t


# What a thread is woken for
cdef enum Order:
    NONE
    LEAD        # to take the lead
    WATCH       # the same, but there is nothing to do yet: it sleeps on, as the leader
    LEAVE       # to end
    SIGNALS     # to run Python's signal handlers; only the main thread


cdef struct Place:                  # a thread's; owned by its Member (leader.pxd)
    PyThread_type_lock signal       # released once for each order: a binary semaphore
    PyThread_type_lock room         # likewise, for a response whose client has read on
    Order order                     # under the parking's lock
    bint parked                     # it is in the list; under the parking's lock
    Place* below                    # the next one down, likewise
    clockid_t clock                 # the thread's CPU time


cdef struct Parking:
    PyThread_type_lock lock         # guards the list and the orders; nobody waits or runs Python code with it
    Place* top
    bint closed                     # nobody parks any more, likewise


# Parks the calling thread until it is told something, or `patience` seconds have passed and it is not the last one.
# interruptible: a signal ends it, too (SIGNALS).
cdef Order park(Parking* parking, Place* place, double patience, bint interruptible) noexcept nogil
# Tells all to leave, also those who come to park later.
cdef void close_parking(Parking* parking) noexcept nogil
# Wakes the most recently parked thread, if there is one; whether there was.
cdef bint tell_top(Parking* parking, Order order) noexcept nogil
# The same without waking it, for who holds the lock already, when somebody is parked.
cdef Place* take_top(Parking* parking, Order order) noexcept nogil
# Wakes a certain thread, or lets it not sleep next time. It must not have an order already, except SIGNALS.
cdef void tell(Parking* parking, Place* place, Order order) noexcept nogil
# Does this for SIGNALS, unless the thread has an order.
cdef void tell_signals(Parking* parking, Place* place) noexcept nogil
