"""The awaitables that `receive()` and `send()` of an ASGI application return.

Facts: in the usual request each is awaited once, and nearly always has its result at once. Strategy: a small object
acts when it is first stepped, without a coroutine. A future is made only if it has to wait. The objects look like
coroutines, so create_task() takes them. Nothing happens before the loop steps them, so other threads may make them.

Compiled because every request passes here: 458 instructions for ASGI hello.
"""
cimport cython

from ianus.gateway.asgi.exchange cimport AsgiExchange
from ianus.gateway.asgi.gateway cimport AsgiGateway


cdef extern from "Python.h":
    # cpython.exc declares that it raises; here it sets the exception that __next__() then ends with.
    void PyErr_SetObject(object kind, object value) noexcept


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
        if self.waiting is not None:
            raise RuntimeError("receive() is being awaited already")
        return self

    def __iter__(self):
        return self

    def __next__(self):
        cdef dict message
        cdef AsgiExchange exchange = self.exchange
        if exchange is None:
            raise already_awaited("receive")
        # However this step ends, unless it suspends, it is the last one.
        self.exchange = None
        while True:
            if self.waiting is not None:
                # The default, since an exhausted future is the usual end here, and an exception for it would be
                # expensive.
                step = next(self.waiting, DONE)
                if step is not DONE:
                    # It suspends, so this is not the last step.
                    self.exchange = exchange
                    return step
                self.waiting = None
            # Asked again after each wake-up: another receive() may have taken the message.
            message = exchange.next_message()
            # Only a receive() that would wait is ended by the stop.
            if message is None and exchange.service.ends_streams:
                message = exchange.stop_message()
            if message is not None:
                # As generators do it: `raise StopIteration(message)` would also make a traceback for each message. In
                # __next__(), Cython translates the bare `raise` into a return that keeps the exception set here.
                PyErr_SetObject(StopIteration, message)
                raise StopIteration
            # By the loop: uvloop and others have a future type of their own.
            future = (<AsgiGateway>exchange.gateway).create_future()
            # The exchange owns the future until it wakes it, and this object the iterator over it.
            exchange.readers = with_waiter(exchange.readers, future)
            self.waiting = iter(future)

    def send(self, value):
        # Tasks send None alone, so other values have no meaning here.
        return self.__next__()

    def throw(self, kind, value=None, traceback=None):
        # A cancelled call must not take a message later.
        self.close()
        raise exception_to_throw(kind, value)

    def close(self):
        self.exchange = self.waiting = None


@cython.freelist(64)
cdef class Send:
    """Sends one message, then waits while the client does not read; steps like a coroutine."""

    def __await__(self):
        if self.waiting is not None:
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
                self.waiting = exchange.discard(message)
                if self.waiting is None:
                    raise StopIteration
        while True:
            if self.waiting is not None:
                step = next(self.waiting, DONE)
                if step is not DONE:
                    self.exchange = exchange
                    return step
                self.waiting = None
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
            future = (<AsgiGateway>exchange.gateway).create_future()
            exchange.writers = with_waiter(exchange.writers, future)
            self.waiting = iter(future)

    def send(self, value):
        return self.__next__()

    def throw(self, kind, value=None, traceback=None):
        self.close()
        raise exception_to_throw(kind, value)

    def close(self):
        self.exchange = self.message = self.waiting = None


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


cdef list with_waiter(list futures, object future):
    """Adds a future, and removes cancelled ones: each receive() with a time limit produces one."""
    cdef list waiting = [future]
    if futures:
        waiting += [other for other in futures if not other.done()]
    return waiting
