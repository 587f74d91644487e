"""The awaitables that `receive()` and `send()` of an ASGI application return.

Facts: in the usual request each is awaited once, and nearly always has its result at once. Strategy: a small object
acts when it is first stepped, without a coroutine. A future is needed only if it has to wait. The objects look like
coroutines, so create_task() takes them. Nothing happens before the loop steps them, so other threads may make them.

Compiled because every request passes here: 454 instructions for ASGI hello.
"""
cimport cython

from cpython.object cimport PyObject

from ianus.gateway.asgi.exchange cimport AsgiExchange
from ianus.gateway.asgi.gateway cimport AsgiGateway
from ianus.gateway.asgi.waiters cimport Waiters


cdef extern from *:
    """
    #if PY_VERSION_HEX >= 0x030C0000 && !defined(Py_GIL_DISABLED)
    /* From 3.12 on, PyErr_SetObject() makes the exception at once, which takes 700 instructions. So one is used again,
       unless something else has it, or has left something in it. */
    static int ianus_is_reusable(PyObject *kept) {
        PyStopIterationObject *stop = (PyStopIterationObject *)kept;
        return Py_IS_TYPE(kept, (PyTypeObject *)PyExc_StopIteration) && Py_REFCNT(kept) == 1 && !stop->traceback
            && !stop->context && !stop->cause && !stop->dict;
    }
    static int ianus_set_result(PyObject *kept, PyObject *value) {
        if (!ianus_is_reusable(kept))
            return 0;
        Py_XSETREF(((PyStopIterationObject *)kept)->value, Py_NewRef(value));
        PyErr_SetRaisedException(Py_NewRef(kept));
        return 1;
    }
    static int ianus_drop_result(PyObject *kept) {
        if (!ianus_is_reusable(kept))
            return 0;
        if (((PyStopIterationObject *)kept)->value != Py_None)
            Py_XSETREF(((PyStopIterationObject *)kept)->value, Py_NewRef(Py_None));
        return 1;
    }
    #else
    static int ianus_set_result(PyObject *kept, PyObject *value) {
        PyErr_SetObject(PyExc_StopIteration, value);
        return 1;
    }
    static int ianus_drop_result(PyObject *kept) { return 1; }
    #endif
    """
    # noexcept: both return False if another exception has to be kept. kept: borrowed from its owner, which has the only
    # reference.
    bint set_result "ianus_set_result"(PyObject* kept, object value) noexcept
    bint drop_result "ianus_drop_result"(PyObject* kept) noexcept


cdef enum:
    YIELD_BYTES = 1048576   # bytes of a response after which its application lets the loop run

cdef object DONE = object()


cdef object exception_to_throw(object kind, object value):
    """The exception that the throw() of a coroutine raises for its arguments."""
    # The signature with three arguments is deprecated in Python, but still used.
    if value is not None:
        return value
    return kind() if isinstance(kind, type) else kind


cdef object already_awaited(str name):
    return RuntimeError(f"cannot reuse already awaited {name}()")


# Made for each call, so freed objects are kept for the next ones.
@cython.freelist(64)
cdef class Receive:
    """Awaits one message from the client; steps like a coroutine."""

    def __await__(self):
        # Like a coroutine: two tasks cannot await one object.
        if self.is_waiting:
            raise RuntimeError("receive() is being awaited already")
        return self

    def __iter__(self):
        return self

    def __next__(self):
        cdef dict message
        cdef AsgiExchange exchange = self.exchange
        cdef AsgiGateway gateway
        if exchange is None:
            raise already_awaited("receive")
        gateway = <AsgiGateway>exchange.gateway
        # However this step ends, unless it suspends, it is the last one.
        self.exchange = None
        # Asked again after each wake-up: another receive() may have taken the message.
        message = exchange.next_message()
        # Only a receive() that would wait is ended by the stop.
        if message is None and exchange.service.ends_streams:
            message = exchange.stop_message()
        if message is not None:
            self.is_waiting = False
            # As generators do it: `raise StopIteration(message)` would also make a traceback for each message. In
            # __next__(), Cython translates the bare `raise` into a return that keeps the exception set here.
            if not set_result(<PyObject*>gateway.stop_iteration, message):
                gateway.stop_iteration = StopIteration()
                set_result(<PyObject*>gateway.stop_iteration, message)
            raise StopIteration
        # An idle server keeps no message.
        drop_message(gateway)
        # It suspends, so this is not the last step.
        self.exchange = exchange
        self.is_waiting = True
        if exchange.readers is None:
            exchange.readers = Waiters.__new__(Waiters)
        return exchange.readers.add(gateway)

    def send(self, value):
        # Tasks send None alone, so other values have no meaning here.
        return self.__next__()

    def throw(self, kind, value=None, traceback=None):
        # A cancelled call must not take a message later.
        self.close()
        raise exception_to_throw(kind, value)

    def close(self):
        self.exchange = None
        self.is_waiting = False


@cython.freelist(64)
cdef class Send:
    """Sends one message, then waits while the client does not read; steps like a coroutine."""

    def __await__(self):
        if self.is_waiting or self.discarding is not None:
            raise RuntimeError("send() is being awaited already")
        return self

    def __iter__(self):
        return self

    def __next__(self):
        cdef AsgiExchange exchange = self.exchange
        message = self.message
        if exchange is None:
            raise already_awaited("send")
        # However this step ends, unless it suspends, it is the last one.
        self.exchange = None
        if message is not None:
            # Handled once: later steps only wait.
            self.message = None
            if not exchange.disconnected:
                # It may raise, to the application. self.exchange is None then, so the object cannot be awaited again.
                exchange.handle_message(message)
            else:
                # The spec version of the protocol decides whether send() raises then.
                self.discarding = exchange.discard(message)
                if self.discarding is None:
                    raise StopIteration
        if self.discarding is not None:
            # The default, since an exception for the usual end would be expensive.
            step = next(self.discarding, DONE)
            if step is not DONE:
                self.exchange = exchange
                return step
            self.discarding = None
            exchange.on_client_lost()
            raise StopIteration
        if self.is_waiting:
            self.is_waiting = False
            # It may have happened while this call waited.
            if exchange.disconnected:
                exchange.on_client_lost()
                raise StopIteration
        # Back-pressure: the application waits as long as much of its output is unsent.
        if not exchange.needs_file() and not (
            exchange.session is not None and exchange.session.congested(exchange.stream)
        ):
            if exchange.produced_bytes - exchange.yielded_at_bytes >= YIELD_BYTES and exchange.session is not None:
                # A client that reads fast must not keep the loop from serving others.
                exchange.yielded_at_bytes = exchange.produced_bytes
                # None is a bare `yield` of a coroutine: the task continues in the loop's next pass.
                self.exchange = exchange
                return None
            raise StopIteration
        self.exchange = exchange
        self.is_waiting = True
        if exchange.writers is None:
            exchange.writers = Waiters.__new__(Waiters)
        return exchange.writers.add(<AsgiGateway>exchange.gateway)

    def send(self, value):
        return self.__next__()

    def throw(self, kind, value=None, traceback=None):
        self.close()
        raise exception_to_throw(kind, value)

    def close(self):
        self.exchange = self.message = self.discarding = None
        self.is_waiting = False


cdef int drop_message(AsgiGateway gateway) except -1:
    if not drop_result(<PyObject*>gateway.stop_iteration):
        gateway.stop_iteration = None
    return 0


cdef Receive new_receive(AsgiExchange exchange):
    # __new__() skips the call of __init__().
    cdef Receive awaitable = <Receive>Receive.__new__(Receive)
    awaitable.exchange = exchange
    return awaitable


cdef Send new_send(AsgiExchange exchange, object message):
    cdef Send awaitable = <Send>Send.__new__(Send)
    awaitable.exchange = exchange
    awaitable.message = message
    return awaitable
