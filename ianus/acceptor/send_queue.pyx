"""Sends the responses of a batch together.

Facts: the kernel's part of a send() is larger than that of the server, and each evicts the other's code and data from
the processor's caches. A task that starts eagerly (CPython 3.12) has its response complete in the turn of its
connection, and so is the answer to a message of a WebSocket. Strategy: output that is complete and small is sent after
the last event of the batch, or as soon as the batch has taken MAX_WAIT_SECONDS. Any other is sent at once, since its
client may wait for the first part.

Compiled because every request passes here: 21 instructions for ASGI hello on CPython 3.11, which needs no queue for it.
"""
cimport cython

from ianus.acceptor.connection cimport Connection
from ianus.acceptor.connection_table cimport ConnectionTable
from ianus.exchange.base cimport Transport
from ianus.runtime.clock cimport monotonic

cdef enum:
    MAX_BYTES = 16384       # of the output of one connection

cdef double MAX_WAIT_SECONDS = 0.0005


@cython.final
cdef class SendQueue:
    """The connections of one reactor whose output waits for the end of the batch."""

    def __cinit__(self, ConnectionTable table not None):
        self.table = table
        self.waiting = []
        self.max_wait = MAX_WAIT_SECONDS

    cdef int open(self, double now) except -1:
        self.is_open = True
        self.opened = now
        return 0

    cdef bint add(self, Transport connection) except -1:
        if not self.is_open or connection.out.size > MAX_BYTES or connection.out.files:
            return False
        if monotonic() - self.opened > self.max_wait:
            # An application has taken long, and the next one may, too.
            self.close()
            return False
        self.waiting.append(connection)
        return True

    cdef int close(self) except -1:
        cdef list waiting = self.waiting
        cdef Connection connection = None
        cdef Py_ssize_t index = 0
        self.is_open = False
        if not waiting:
            return 0
        # Taken first: flush() may lead to a turn of its own.
        self.waiting = []
        while index < len(waiting):
            try:
                while index < len(waiting):
                    connection = <Connection>waiting[index]
                    index += 1
                    connection.flush()
            except Exception:
                # The other responses are sent nevertheless.
                self.table.drop(connection)
        return 0
