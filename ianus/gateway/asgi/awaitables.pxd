"""The awaitables that `receive()` and `send()` of an ASGI application return."""
from ianus.gateway.asgi.exchange cimport AsgiExchange
from ianus.gateway.asgi.gateway cimport AsgiGateway


cdef class Receive:
    cdef AsgiExchange exchange      # None once it has been awaited
    cdef bint is_waiting            # it has suspended


cdef class Send:
    cdef AsgiExchange exchange      # None once it has been awaited
    cdef object message             # until it was handled
    cdef object discarding          # iterator of gateway/asgi/discarding that it has to finish, or None
    cdef bint is_waiting            # it has suspended since the client does not read


# Here, because a type makes its objects with fewer steps in its own module.
cdef Receive new_receive(AsgiExchange exchange)
cdef Send new_send(AsgiExchange exchange, object message)

# Drops the reference to the last message that receive() has returned.
cdef int drop_message(AsgiGateway gateway) except -1
