"""Responses of one batch of events that are sent together at its end."""
cimport cython

from ianus.acceptor.connection_table cimport ConnectionTable
from ianus.exchange.base cimport Transport


@cython.final
cdef class SendQueue:
    cdef ConnectionTable table
    cdef list waiting               # connections whose output is to be sent
    cdef bint is_open               # a batch of several events is being dispatched
    cdef double opened              # CLOCK_MONOTONIC seconds
    cdef double max_wait            # seconds from then on

    cdef int open(self, double now) except -1
    cdef bint add(self, Transport connection) except -1     # returns False if its output is to be sent at once
    cdef int close(self) except -1                          # sends the output of all of them
