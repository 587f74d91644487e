"""The awaitables that `receive()` and `send()` of an ASGI application return."""
from ianus.gateway.asgi.gateway cimport AsgiExchange


cdef class Receive:
    cdef AsgiExchange exchange      # None once it has been awaited
    cdef object waiting             # iterator of the future that this call waits for


cdef class Send:
    cdef AsgiExchange exchange      # None once it has been awaited
    cdef object message             # until it was handled
    cdef object waiting
