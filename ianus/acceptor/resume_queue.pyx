"""Schedules connections to be resumed after the applications that they have started.

Facts: a task that a turn starts queues its output in the loop's next pass. Strategy: the connections of a turn are
resumed together after that pass, so that each sends its output once. Without a loop they are resumed before the
thread sleeps.

Compiled because every request passes here: 166 instructions for ASGI hello.
"""
cimport cython

from ianus.acceptor.connection cimport Connection
from ianus.acceptor.connection_table cimport ConnectionTable


@cython.final
cdef class ResumeQueue:
    """The connections of one reactor for which schedule_resume() was called."""

    def __cinit__(self, ConnectionTable table not None):
        self.table = table
        self.waiting = []
        self.after_tasks = []

    cdef int add(self, Connection connection) except -1:
        if self.dispatching:
            # Also when it is in the other list, which may be resumed before the task's first step.
            connection.resume_scheduled = True
            # It may be listed twice. The second resume() finds no work, which is cheaper than a search here.
            self.after_tasks.append(connection)
        elif not connection.resume_scheduled:
            connection.resume_scheduled = True
            self.waiting.append(connection)
            if not self.scheduled and self.call_soon is not None:
                self.scheduled = True
                # Once for all connections until it has run, so that a busy loop gets one callback and not thousands.
                self.call_soon(self.resume_all)
        return 0

    cdef int start_turn(self) except -1:
        self.table.start_turn()
        # From here to end_turn() connections are collected for the same callback.
        self.dispatching = True
        return 0

    cdef int end_turn(self) except -1:
        """Schedules `after_tasks` to be resumed after the first steps of the tasks that this turn has started."""
        cdef list after_tasks = self.after_tasks
        self.dispatching = False
        if not after_tasks:
            return 0
        # The list is the callback's now. A nested turn must not add to it.
        self.after_tasks = []
        if self.call_soon is not None:
            self.call_soon(self.resume_these, after_tasks)
        else:
            # Without a loop there are no tasks to wait for: the caller resumes them before it sleeps.
            self.waiting += after_tasks
        return 0

    def resume_all(self) -> None:
        """Resumes the connections for which schedule_resume() was called outside of a turn."""
        cdef list waiting = self.waiting
        # Taken first: resume() of a connection may list it again, for the next pass.
        self.waiting = []
        self.scheduled = False
        self.resume(waiting)

    def resume_these(self, list connections not None) -> None:
        """Resumes the connections of one turn, after the first steps of the tasks that it has started."""
        self.resume(connections)

    cdef int resume(self, list connections) except -1:
        cdef Connection connection = None
        cdef Py_ssize_t index = 0
        # A resumed connection may start the application of a pipelined request, so this is a turn too.
        self.start_turn()
        try:
            # One `try` for many connections: entering it costs as much as a tenth of resume().
            while index < len(connections):
                try:
                    while index < len(connections):
                        connection = <Connection>connections[index]
                        index += 1
                        connection.resume()
                except Exception:
                    # The other connections of the list are resumed nevertheless.
                    self.table.drop(connection)
        finally:
            self.end_turn()
        return 0

    cdef int resume_waiting(self) except -1:
        # Resuming may list further connections. All must be done before the thread sleeps.
        while self.waiting:
            self.resume_all()
        return 0

    cdef int clear(self) except -1:
        # After close() no callback of the loop may find a connection here.
        self.waiting = []
        self.after_tasks = []
        return 0
