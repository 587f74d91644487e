"""The ASGI gateway (ASGI 3.0, HTTP spec version 2.3): scopes, receive and send."""
cimport cython
from ianus.codec.file_range cimport FileRange
from ianus.exchange.base cimport flag
from ianus.exchange.http cimport Exchange, Gateway


cdef class AsgiGateway(Gateway):
    cdef object app
    cdef bint eager                 # a task's first step runs as soon as it is made
    cdef object loop
    cdef dict scope_template        # what all scopes have in common; copied for each request
    cdef str stripped               # what a proxy has taken off the path, or ""
    cdef object template_server     # the "server" in it
    cdef dict asgi                  # the "asgi" dictionary, likewise
    cdef dict extensions, extensions_1_0    # the "extensions" by HTTP version, likewise
    cdef bint early_hints           # are among them
    cdef dict task_options          # keywords of every asyncio.Task
    cdef dict state                 # the lifespan state, or None
    cdef object create_future       # loop.create_future
    cdef object open_websocket      # makes the exchange of a request that would be a WebSocket, or None
    # The list of exchanges whose application runs: it keeps their tasks alive, of which asyncio holds only weak
    # references.
    cdef AsgiExchange first

    cdef dict build_scope(self, Exchange exchange)


@cython.no_gc
cdef class AsgiExchange(Exchange):
    cdef object task                # until the application has returned
    cdef bint running               # in the gateway's list
    cdef AsgiExchange previous, next
    cdef bint end_told              # the message with more_body=False was received
    cdef bint disconnect_told       # http.disconnect was received
    cdef list readers               # futures of receive() calls that wait
    cdef list writers               # futures of send() calls that wait
    cdef flag senders_first         # the client has left, and `readers` are to be woken after `writers`
    cdef long long given            # bytes of bodies so far, also of one that is thrown away
    cdef long long rested           # ... when the loop was last let run
    cdef FileRange file             # sent by zerocopysend, until it has left
    cdef bint file_is_last          # ... and ends the body
    cdef object discarded           # decides about send() once there is no client (gateway/asgi/discarding)

    cdef dict scope(self)
    cdef int count(self, int calls) except -1       # application calls that begin or, below 0, end
    cdef dict next_message(self)
    cdef dict disconnect_message(self)
    cdef dict message_of_stop(self)
    cdef bint only_waits(self) except -1
    cdef int end_stopped(self) except -1
    cdef int handle(self, object message) except -1
    cdef int start_response(self, int status, object headers, bint trailing) except -1
    cdef int handle_extension(self, str kind, dict message) except -1
    cdef int send_links(self, object links) except -1
    cdef bint needs_file(self) except -1
    cdef object discard(self, object message)
    cdef int lost_client(self) except -1
    cdef int ended(self) except -1
    cdef int report_raised(self, object error) except -1
    cdef bint client_left(self) noexcept
    cdef int end_failed(self) except -1


cdef bint wake(list futures) except -1
