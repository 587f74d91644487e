"""The two callables that an ASGI application gets: receive and send."""
from cpython.object cimport PyObject

from ianus.gateway.asgi.exchange cimport AsgiExchange


cdef class AsgiCallable:
    cdef void* vectorcall           # a function, at the offset that the type names
    cdef AsgiExchange exchange
    cdef object model               # the function of gateway/asgi/coroutines with its attributes


cdef AsgiCallable new_receive_callable(AsgiExchange exchange)
cdef AsgiCallable new_send_callable(AsgiExchange exchange)
