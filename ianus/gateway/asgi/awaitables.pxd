"""The awaitables that `receive()` and `send()` of an ASGI application return."""
from ianus.gateway.asgi.exchange cimport AsgiExchange


cdef class Receive:
    cdef AsgiExchange exchange      # None once it has been awaited
    cdef object waiting             # iterator of the future that this call waits for


cdef class Send:
    cdef AsgiExchange exchange      # None once it has been awaited
    cdef object message             # until it was handled
    cdef object waiting


# Here, because a type makes its objects with fewer steps in its own module.
cdef Receive new_receive(AsgiExchange exchange)
cdef Send new_send(AsgiExchange exchange, object message)
