"""The ASGI gateway (ASGI 3.0)."""
from ianus.exchange.gateway cimport Gateway
from ianus.gateway.asgi.eager_start cimport EagerStart
from ianus.gateway.asgi.exchange cimport AsgiExchange
from ianus.gateway.asgi.scope cimport Scopes


cdef class AsgiGateway(Gateway):
    cdef object app
    cdef readonly EagerStart eager_start
    cdef object loop
    cdef object discarding_turn     # shared by all requests whose clients have left (gateway/asgi/discarding)
    cdef object woken               # a future of the loop with the result None
    cdef bint continues_tasks       # its futures are those of asyncio, as gateway/asgi/waiters knows them
    cdef object stop_iteration      # the exception by which receive() returns its value, or None
    cdef Scopes scopes
    cdef bint early_hints           # the extensions have http.response.early_hint
    cdef dict task_options          # keywords of every asyncio.Task whose first step the loop makes
    cdef dict eager_options         # ... that makes its first step at once
    cdef object open_websocket      # makes the exchange of a request that would be a WebSocket, or None
    # The list of exchanges whose application runs: it keeps their tasks alive, of which asyncio holds only weak
    # references.
    cdef AsgiExchange first
