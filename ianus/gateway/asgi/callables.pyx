"""The two callables that an ASGI application gets: receive and send.

Facts: each request has both, and calls them by position. Strategy: objects with the protocol of PEP 590, which are
smaller than bound methods, are not tracked by the garbage collector, and are reused.

Compiled because every request passes here: 288 instructions for ASGI hello.
"""
cimport cython

from cpython.object cimport PyObject

from ianus.gateway.asgi.awaitables cimport new_receive, new_send
from ianus.gateway.asgi.exchange cimport AsgiExchange
from ianus.runtime.vectorcall cimport PyVectorcall_NARGS, call_by_tuple, set_vectorcall

from ianus.gateway.asgi import coroutines


cdef object RECEIVE = coroutines.receive
cdef object SEND = coroutines.send


# Without garbage collection: it has a reference to the exchange, which has none to it.
@cython.no_gc
@cython.freelist(64)
cdef class AsgiCallable:
    """`receive` or `send` of one request."""

    def __call__(self, *args, **kwargs):
        # Raises TypeError for wrong arguments.
        self.model(*args, **kwargs).close()
        if self.model is RECEIVE:
            return new_receive(self.exchange)
        return new_send(self.exchange, args[0] if args else kwargs["message"])

    def __getattr__(self, name):
        # inspect.iscoroutinefunction() answers yes, and inspect.signature() has an answer. asgiref's async_to_sync(),
        # for example, warns of functions that are not coroutine functions.
        return getattr(self.model, name)


# PEP 590. arguments: borrowed from the caller. names: those of keyword arguments, or NULL.

cdef object call_receive(AsgiCallable self, PyObject** arguments, size_t count, PyObject* names):
    if PyVectorcall_NARGS(count) == 0 and names == NULL:
        return new_receive(self.exchange)
    return call_by_tuple(self, arguments, PyVectorcall_NARGS(count), names)


cdef object call_send(AsgiCallable self, PyObject** arguments, size_t count, PyObject* names):
    if PyVectorcall_NARGS(count) == 1 and names == NULL:
        return new_send(self.exchange, <object>arguments[0])
    return call_by_tuple(self, arguments, PyVectorcall_NARGS(count), names)


cdef AsgiCallable new_receive_callable(AsgiExchange exchange):
    cdef AsgiCallable callable = <AsgiCallable>AsgiCallable.__new__(AsgiCallable)
    callable.vectorcall = <void*>call_receive
    callable.exchange = exchange
    callable.model = RECEIVE
    return callable


cdef AsgiCallable new_send_callable(AsgiExchange exchange):
    cdef AsgiCallable callable = <AsgiCallable>AsgiCallable.__new__(AsgiCallable)
    callable.vectorcall = <void*>call_send
    callable.exchange = exchange
    callable.model = SEND
    return callable


cdef int enable_vectorcall() except -1:
    cdef AsgiCallable any = new_receive_callable(None)
    set_vectorcall(AsgiCallable, <char*>&any.vectorcall - <char*><void*>any)
    return 0


enable_vectorcall()
