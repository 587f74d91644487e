"""The ASGI gateway (ASGI 3.0)."""
from ianus.exchange.gateway cimport Gateway
from ianus.gateway.asgi.exchange cimport AsgiExchange
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
