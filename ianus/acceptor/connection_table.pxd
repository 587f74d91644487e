"""The open connections of a reactor, by id."""
cimport cython
from libc.stdint cimport uint32_t

from ianus.acceptor.connection cimport Connection
from ianus.runtime.mapped_memory cimport MappedMemory


@cython.final
cdef class ConnectionTable:
    cdef list by_id                 # Connection or None; owns the connections
    cdef list free_ids
    cdef list closed                # connections closed in this turn: methods of theirs may be on the stack
    cdef unsigned int generation    # of the last connection
    cdef int count                  # open connections
    cdef int internal               # ... of them made by this process
    cdef MappedMemory shared        # memory that another process reads
    cdef uint32_t* shared_count     # in `shared`: the copy of `count` there, NULL = none

    cdef int add(self, Connection connection) except -1     # gives it an id and a generation
    cdef int remove(self, Connection connection) except -1
    # The connection that an event or a timer is for, or None if it has been closed. An event with an outdated
    # generation is stale.
    cdef Connection find(self, uint32_t id, uint32_t generation)
    cdef Connection find_by_id(self, uint32_t id)
    cdef int clients(self) noexcept     # open connections of clients
    cdef list open_connections(self)
    cdef void write_count(self) noexcept
    cdef int reset_in_child(self) except -1         # forgets all connections, which are the parent's
    cdef int drain_sessions(self) except -1     # lets each session know of the next step of a stop
    cdef int start_turn(self) except -1     # releases the connections that were closed in the turn before
    cdef int drop(self, Connection connection) except -1    # after an exception, which is logged
