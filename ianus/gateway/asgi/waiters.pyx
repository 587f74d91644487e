"""The receive() or send() calls of an application that wait, and the end of their wait.

Facts: a new asyncio.Future for each wait, and the pass of the event loop that continues its task, cost more than
parsing and sending a small message. Usually one task waits, again and again, and the event is found while no task runs.
Strategy: the future is used again. Its task is continued at once, by the callback that the loop would call in its next
pass, and the future stays pending.

Rule: a task that continues at once runs code of the application, so wake() does it only if its caller allows it.

Compiled because every message of a WebSocket passes here: 280 instructions for an echo of 128 bytes.
"""
cimport cython

import asyncio
import sys
from types import BuiltinFunctionType

from cpython.contextvars cimport PyContext_Enter, PyContext_Exit

from ianus.gateway.asgi.gateway cimport AsgiGateway


cdef object Task = asyncio.Task
# The running task of each loop that has one. CPython 3.14 has no such table, so it is asked by a public function.
cdef dict current_tasks = asyncio.tasks._current_tasks if sys.version_info < (3, 14) else None
cdef object current_task = asyncio.current_task
cdef object Future = asyncio.Future
# The method of that type, which need not be found at each call.
cdef object remove_done_callback = Future.remove_done_callback


@cython.no_gc
@cython.final
cdef class Waiters:
    cdef object add(self, AsgiGateway gateway):
        cdef object future = self.future
        if self.is_first_waiting:
            if not future.done():
                return self.add_other(gateway)
            # Its task was cancelled.
            future = None
        if future is None:
            future = self.future = gateway.loop.create_future()
        self.is_first_waiting = True
        # By this mark a task knows that the future was awaited.
        future._asyncio_future_blocking = True
        return future

    cdef object add_other(self, AsgiGateway gateway):
        cdef object future = gateway.loop.create_future()
        future._asyncio_future_blocking = True
        # Cancelled ones are removed: each receive() with a time limit produces one.
        self.others = [] if self.others is None else [other for other in self.others if not other.done()]
        self.others.append(future)
        return future

    cdef bint are_waiting(self) noexcept:
        return self.is_first_waiting or self.others is not None

    cdef bint has(self, object future):
        return self.is_first_waiting and future is self.future or self.others is not None and future in self.others

    cdef bint wake(self, AsgiGateway gateway, object task, bint at_once) except -1:
        cdef object future
        cdef list others = self.others
        if others is None:
            if not self.is_first_waiting:
                return False
            # First: a task that continues may wait again.
            self.is_first_waiting = False
            if at_once and gateway.continues_tasks and self.continue_task(gateway, task):
                return False
        self.is_first_waiting = False
        future = self.future
        self.future = self.others = None
        if future is not None and not future.done():
            future.set_result(None)
        if others is not None:
            for future in others:
                if not future.done():
                    future.set_result(None)
        return True

    cdef bint continue_task(self, AsgiGateway gateway, object task) except -1:
        """Continues the task that waits for the future. Returns False if the event loop has to do it.

        task: that of the exchange, whose callback is kept.
        """
        cdef object future = self.future, wakeup = self.wakeup, context = self.context
        # A task cannot run inside another one, if a nested event loop has led here.
        # The table is usually empty, which costs 150 instructions less to know than a call.
        if current_tasks is None:
            if current_task(gateway.loop) is not None:
                return False
        elif current_tasks and gateway.loop in current_tasks:
            return False
        # The callbacks of one task are equal.
        if wakeup is None or not (
            remove_done_callback(future, wakeup) if type(future) is Future else future.remove_done_callback(wakeup)
        ):
            callbacks = future._callbacks
            if not callbacks or len(callbacks) != 1:
                return False
            wakeup, context = callbacks[0]
            # Another callback than a task's may ask the future for its result.
            if type(wakeup) is not BuiltinFunctionType or type(wakeup.__self__) is not Task:
                return False
            future.remove_done_callback(wakeup)
            if wakeup.__self__ is task:
                self.wakeup = wakeup
                self.context = context
        try:
            PyContext_Enter(context)
        except RuntimeError:
            # The context of this code is the task's, which an application may choose.
            future.add_done_callback(wakeup, context=context)
            return False
        try:
            # The task asks it for its result, which a future of asyncio's own type gives fastest.
            wakeup(gateway.woken)
        finally:
            PyContext_Exit(context)
        return True

    cdef int forget_task(self) except -1:
        self.wakeup = self.context = None
        return 0
