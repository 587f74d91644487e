"""Connections that continue later in this pass of the event loop, or in the next one."""
cimport cython

from ianus.acceptor.connection cimport Connection
from ianus.acceptor.connection_table cimport ConnectionTable


@cython.final
cdef class ResumeQueue:
    cdef ConnectionTable table
    cdef object call_soon           # schedules a callback of the event loop; None without a loop
    cdef list waiting               # connections that resume_all() is to resume
    cdef bint scheduled             # resume_all() is scheduled
    cdef list after_tasks           # connections to resume after the first steps of tasks that this turn has started
    cdef bint dispatching           # a turn is on the stack, which will schedule after_tasks

    cdef int add(self, Connection connection) except -1
    cdef int start_turn(self) except -1
    cdef int end_turn(self) except -1
    cdef int resume(self, list connections) except -1
    cdef int resume_waiting(self) except -1     # without a loop
    cdef int clear(self) except -1
