"""Continues handshakes beside the established connections of a reactor.

Facts: a step of a TLS handshake takes as long as tens of requests. Strategy: handshakes, and the listeners whose
connections start with one, are in a set of their own within that of the reactor. The set is one event of a batch. After
the other events, and the tasks that they have started, it is handled for half a millisecond or one step. All other
handshakes wait in the set: the driver keeps it readable, and reports them in turns.

Compiled because it calls connections.
"""
from ianus.acceptor.accepting cimport LISTENER_ID, Accepting
from ianus.acceptor.connection cimport Connection, ConnectionHost
from ianus.acceptor.connection_table cimport ConnectionTable
from ianus.acceptor.deadlines cimport DeadlineTimer
from ianus.acceptor.handshake_memory cimport HandshakeMemory
from ianus.acceptor.poll.base cimport Poll, PollEvent
from ianus.runtime.clock cimport monotonic


cdef double TURN_SECONDS = 0.0005       # which one step may exceed


cdef class Handshakes:
    def __cinit__(self, DeadlineTimer deadlines not None):
        self.memory = HandshakeMemory(deadlines)

    cdef int open(self, Poll outer) except -1:
        if self.poll is None:
            self.poll = outer.nested(HANDSHAKES_ID)
        return 0

    cdef int run(self, ConnectionHost host, ConnectionTable table, Accepting accepting) except -1:
        cdef Connection connection
        cdef PollEvent event
        cdef double started = monotonic()
        self.is_due = False
        # One at a time, so that the rest stays in the set. After close(), or in the child of a fork, none is found.
        while self.poll.wait(&event, 1, 0) > 0:
            if event.id == LISTENER_ID:
                accepting.on_readable(host, event.generation)
            else:
                connection = table.find(event.id, event.generation)
                if connection is not None:
                    try:
                        connection.on_events(event.flags)
                    except Exception:
                        table.drop(connection)
            if monotonic() - started > TURN_SECONDS:
                break
        return 0

    cdef int close(self) except -1:
        self.is_due = False
        return 0 if self.poll is None else self.poll.close()

    cdef int reset_in_child(self) except -1:
        self.is_due = False
        return 0 if self.poll is None else self.poll.reset_in_child()
