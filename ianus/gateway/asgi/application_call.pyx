"""The coroutine of the task in which an ASGI application is called.

Facts: a task steps its coroutine by the C slot am_send. Strategy: this object has the slot. It passes each step to the
coroutine of the application and ends the exchange after it, so no second coroutine is around it.

Compiled because every request passes here: 356 instructions for ASGI hello.
"""
cimport cython

import asyncio

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF

from ianus.gateway.asgi.callables cimport new_receive_callable, new_send_callable
from ianus.gateway.asgi.exchange cimport AsgiExchange
from ianus.gateway.asgi.gateway cimport AsgiGateway

from ianus.gateway.asgi.coroutines import awaiting
from ianus.gateway.forked_child import end_child


cdef object CancelledError = asyncio.CancelledError


cdef extern from "Python.h":
    ctypedef enum PySendResult:
        PYGEN_RETURN
        PYGEN_ERROR
        PYGEN_NEXT

    # result: a new reference, unless there is an error
    PySendResult PyIter_Send(object iterator, object value, PyObject** result) except PYGEN_ERROR
    bint PyCoro_CheckExact(object value)
    void Py_CLEAR(PyObject* reference)


cdef extern from *:
    """
    #define ianus_set_send(type, function) ((PyTypeObject *)(type))->tp_as_async->am_send = (sendfunc)(function)
    """
    void set_send "ianus_set_send"(object type, void* function)


# The cycle of exchange, task and call ends with the call.
@cython.no_gc
@cython.freelist(64)
cdef class ApplicationCall:
    """Calls and awaits the application, then ends its exchange, however the application ended."""

    def __await__(self):
        return self

    def send(self, value):
        """Makes the next step, for tasks that are written in Python."""
        cdef PyObject* result = NULL
        cdef PySendResult kind = step(self, value, &result)
        # Takes the new reference over.
        yielded = <object>result
        Py_CLEAR(result)
        if kind == PYGEN_NEXT:
            return yielded
        raise StopIteration

    def __iter__(self):
        return self

    def __next__(self):
        return self.send(None)

    def throw(self, kind, value=None, traceback=None):
        """Raises an exception at the point at which the application waits."""
        if self.coroutine is None:
            # Cancelled before its first step: AsgiExchange.flush_deferred() ends the exchange.
            self.exchange = self.scope = None
            raise kind if value is None else value
        try:
            if value is None and traceback is None:
                return self.coroutine.throw(kind)
            return self.coroutine.throw(kind, value, traceback)
        except StopIteration:
            self.end_returned()
        except (CancelledError, GeneratorExit) as error:
            self.end_raised(error)
            raise
        except BaseException as error:
            self.end_raised(error)
        raise StopIteration

    def close(self):
        """Ends the application by GeneratorExit."""
        if self.coroutine is None:
            self.exchange = self.scope = None
            return
        error = GeneratorExit()
        try:
            self.coroutine.close()
        except BaseException as raised:
            error = raised
        self.end_raised(error)

    def __getattr__(self, name):
        # The names by which debuggers and asyncio show a coroutine: those of the application's.
        return getattr(self.coroutine, name)

    cdef int call_application(self) except -1:
        cdef dict scope = self.scope
        cdef AsgiExchange exchange = self.exchange
        if exchange is None:
            raise RuntimeError("cannot reuse already awaited coroutine")
        # The application's frame alone keeps it from here on.
        self.scope = None
        coroutine = (<AsgiGateway>exchange.gateway).app(
            scope, new_receive_callable(exchange), new_send_callable(exchange)
        )
        # Any other awaitable is awaited by a coroutine of Python.
        self.coroutine = coroutine if PyCoro_CheckExact(coroutine) else awaiting(coroutine)
        return 0

    cdef int end_returned(self) except -1:
        cdef AsgiExchange exchange = self.exchange
        # The frame of the application is freed before its exchange ends.
        self.coroutine = self.exchange = None
        if exchange.application_returned():
            end_child(None)
        return 0

    cdef int end_raised(self, object error) except -1:
        cdef AsgiExchange exchange = self.exchange
        self.coroutine = self.exchange = None
        # SystemExit too: one request must not stop the server for all others.
        if exchange.application_raised(error):
            end_child(error)
        return 0


cdef PySendResult step(ApplicationCall self, object value, PyObject** result) except PYGEN_ERROR:
    """The slot am_send: the task's next step. result: a new reference to the yielded object, or None at the end."""
    cdef PyObject* returned
    try:
        if self.coroutine is None:
            self.call_application()
        if PyIter_Send(self.coroutine, value, result) == PYGEN_NEXT:
            return PYGEN_NEXT
    except (CancelledError, GeneratorExit) as error:
        self.end_raised(error)
        raise
    except BaseException as error:
        if self.exchange is None:
            # The call has ended before.
            raise
        self.end_raised(error)
    else:
        # The value of the application is of no interest.
        returned = result[0]
        Py_CLEAR(returned)
        self.end_returned()
    Py_INCREF(None)
    result[0] = <PyObject*>None
    return PYGEN_RETURN


set_send(ApplicationCall, <void*>step)


cdef ApplicationCall new_call(AsgiExchange exchange, dict scope):
    cdef ApplicationCall call = <ApplicationCall>ApplicationCall.__new__(ApplicationCall)
    call.exchange = exchange
    call.scope = scope
    return call
