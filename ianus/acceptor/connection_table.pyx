"""The connections of one reactor, and their ids.

Events and timers carry a connection's id, never a descriptor or a pointer. An id is used again after a connection has
been closed, so an event also carries the generation: a number that no two connections of a reactor have in common.

Compiled because every event passes here: 55 instructions for ASGI hello.
"""
cimport cython
from libc.stdint cimport uint32_t

from ianus.acceptor.connection cimport Connection
from ianus.runtime.mapped_memory cimport MappedMemory

from ianus.telemetry.logger import logger


@cython.final
cdef class ConnectionTable:
    """Owns the open connections."""

    def __cinit__(self):
        self.by_id = []
        self.free_ids = []
        self.closed = []

    def publish_count(self, MappedMemory memory not None) -> None:
        """Writes the number of open connections to a memory of four bytes, from now on."""
        self.shared_count = <uint32_t*>memory.writable(sizeof(uint32_t))
        self.shared = memory
        self.write_count()

    cdef void write_count(self) noexcept:
        if self.shared_count != NULL:
            self.shared_count[0] = <uint32_t>self.clients()

    cdef int reset_in_child(self) except -1:
        # The memory is shared with the parent, whose connections it counts.
        self.shared_count = NULL
        self.by_id = []
        return 0

    cdef int add(self, Connection connection) except -1:
        if self.free_ids:
            connection.id = self.free_ids.pop()
        else:
            connection.id = <int>len(self.by_id)
            self.by_id.append(None)
        # It wraps after 2^32 connections. No stale event waits that long in a batch.
        self.generation += 1
        connection.generation = self.generation
        self.by_id[connection.id] = connection
        self.count += 1
        self.internal += connection.internal
        self.write_count()
        return 0

    cdef int remove(self, Connection connection) except -1:
        self.by_id[connection.id] = None
        # Calls through attributes hold no reference: a close() from inside a session must not free the connection that
        # is on the stack. The next turn clears the list.
        # The owner's reference moves from `by_id` to this list.
        self.closed.append(connection)
        self.free_ids.append(connection.id)
        self.count -= 1
        self.internal -= connection.internal
        self.write_count()
        return 0

    cdef Connection find(self, uint32_t id, uint32_t generation):
        cdef Connection connection
        if id < <uint32_t>len(self.by_id):
            connection = <Connection>self.by_id[id]
            # The descriptor is checked too: close() sets it to -1 before it removes the connection from the table.
            if connection is not None and connection.generation == generation and connection.fd >= 0:
                return connection
        return None

    cdef Connection find_by_id(self, uint32_t id):
        # Without a generation: the reactor cancels the deadline of an id when its connection closes.
        return <Connection>self.by_id[id] if id < <uint32_t>len(self.by_id) else None

    cdef int clients(self) noexcept:
        return self.count - self.internal

    cdef list open_connections(self):
        return [connection for connection in self.by_id if connection is not None]

    cdef int drain_sessions(self) except -1:
        cdef Connection connection
        for connection in self.open_connections():
            # The drain of an earlier one may have closed it, since the number of lingering connections is limited.
            if connection.fd >= 0:
                connection.session.drain()
        return 0

    cdef int start_turn(self) except -1:
        if self.closed:
            self.closed.clear()
        return 0

    cdef int drop(self, Connection connection) except -1:
        """Logs an internal error and closes the connection on which it happened; the others continue."""
        logger.exception("internal error; connection closed")
        try:
            connection.close()
        except Exception:
            logger.exception("internal error while closing a connection")
        return 0
