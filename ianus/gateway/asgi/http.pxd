"""One HTTP request in an ASGI application (ASGI HTTP)."""
cimport cython
from ianus.codec.file_range cimport FileRange
from ianus.exchange.base cimport flag
from ianus.gateway.asgi.exchange cimport AsgiExchange
from ianus.gateway.asgi.scope cimport ScopeParts


@cython.no_gc
cdef class AsgiHttpExchange(AsgiExchange):
    cdef ScopeParts parts           # of its scope, used again after this exchange
    cdef bint end_received          # the message with more_body=False was received
    cdef flag senders_first         # the client has disconnected; `readers` are woken after `writers`
    cdef FileRange file             # sent by zerocopysend, until the kernel has taken it
    cdef bint file_is_last          # `file` ends the body
    cdef object discarded_sends     # handles send() after the client has disconnected (gateway/asgi/discarding)

    cdef dict disconnect_message(self)
    cdef bint is_long_poll(self) except -1
    cdef int end_stopped(self) except -1
    cdef bint is_short(self, Py_ssize_t size) noexcept
    cdef int handle_extension(self, str kind, dict message) except -1
    cdef int send_links(self, object links) except -1
