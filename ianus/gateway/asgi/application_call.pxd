"""The coroutine of the task in which an ASGI application is called."""
from ianus.gateway.asgi.exchange cimport AsgiExchange


cdef class ApplicationCall:
    cdef AsgiExchange exchange      # None once the call has ended
    cdef dict scope                 # until the first step
    cdef object coroutine           # the application's, from the first step to its end

    cdef int call_application(self) except -1
    cdef int end_returned(self) except -1
    cdef int end_raised(self, object error) except -1


cdef ApplicationCall new_call(AsgiExchange exchange, dict scope)
