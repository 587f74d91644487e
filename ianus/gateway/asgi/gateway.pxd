"""The ASGI gateway (ASGI 3.0, HTTP spec version 2.3): applications, receive and send."""
cimport cython
from ianus.codec.file_range cimport FileRange
from ianus.exchange.base cimport flag
from ianus.exchange.gateway cimport Gateway
from ianus.exchange.http cimport Exchange
from ianus.gateway.asgi.scope cimport Scopes


cdef class AsgiGateway(Gateway):
    cdef object app
    cdef bint eager                 # a task's first step runs as soon as it is made
    cdef object loop
    cdef Scopes scopes
    cdef bint early_hints           # the extensions have http.response.early_hint
    cdef dict task_options          # keywords of every asyncio.Task
    cdef object create_future       # loop.create_future
    cdef object open_websocket      # makes the exchange of a request that would be a WebSocket, or None
    # The list of exchanges whose application runs: it keeps their tasks alive, of which asyncio holds only weak
    # references.
    cdef AsgiExchange first


@cython.no_gc
cdef class AsgiExchange(Exchange):
    cdef object task                # until the application has returned
    cdef bint running               # in the gateway's list
    cdef AsgiExchange previous, next
    cdef bint end_received          # the message with more_body=False was received
    cdef bint disconnect_received   # http.disconnect was received
    cdef list readers               # futures of receive() calls that wait
    cdef list writers               # futures of send() calls that wait
    cdef flag senders_first         # the client has disconnected; `readers` are woken after `writers`
    cdef long long produced_bytes   # bytes of bodies so far, including discarded ones
    cdef long long yielded_at_bytes  # value of produced_bytes when the application last let the loop run
    cdef FileRange file             # sent by zerocopysend, until the kernel has taken it
    cdef bint file_is_last          # `file` ends the body
    cdef object discarded_sends     # handles send() after the client has disconnected (gateway/asgi/discarding)

    cdef dict scope(self)
    cdef dict next_message(self)
    cdef dict disconnect_message(self)
    cdef dict stop_message(self)
    cdef bint is_long_poll(self) except -1
    cdef int end_stopped(self) except -1
    cdef int handle_message(self, object message) except -1
    cdef int start_response(self, int status, object headers, bint trailing) except -1
    cdef int handle_extension(self, str kind, dict message) except -1
    cdef int send_links(self, object links) except -1
    cdef bint needs_file(self) except -1
    cdef object discard(self, object message)
    cdef int on_client_lost(self) except -1
    cdef int application_ended(self) except -1
    cdef int report_raised(self, object error) except -1
    cdef bint client_left(self) noexcept
    cdef int end_failed(self) except -1


cdef bint wake(list futures) except -1
