"""The ASGI gateway of one application: the objects that all its exchanges share, and the list of its running calls.

Compiled because every request passes here: 72 instructions for ASGI hello.
"""
import sys
from asyncio import Future

from ianus.codec.base cimport Request
from ianus.exchange.gateway cimport Gateway
from ianus.exchange.http cimport request_line
from ianus.gateway.asgi.discarding import DiscardingTurn
from ianus.gateway.asgi.eager_start cimport EagerStart
from ianus.gateway.asgi.exchange cimport AsgiExchange
from ianus.gateway.asgi.http cimport AsgiHttpExchange
from ianus.gateway.asgi.scope cimport Scopes


cdef class AsgiGateway(Gateway):
    """Runs requests in an ASGI 3 application.

    app: the application; name: its name, for messages. loop: the event loop of its tasks.
    root_path: the prefix that a proxy removes from all paths; root_path_kept: the prefix that it keeps. One of them is
    "". mount_prefix: the path prefix of this application.
    asgi_sendfile: offer the extensions that send files. early_hints: offer http.response.early_hint.
    open_websocket: makes the exchange of a request that asks for a WebSocket, or returns None (gateway/asgi/websocket).
    Without it such requests are plain requests.
    state: the namespace of the lifespan, copied into each scope; None if the application has no lifespan.
    """

    def __init__(
        self, app not None, *, loop not None, str name not None, str root_path not None, str root_path_kept not None,
        str mount_prefix not None, bint asgi_sendfile, bint early_hints, open_websocket=None, dict state=None,
    ):
        self.app = app
        self.name = name
        self.loop = loop
        self.discarding_turn = DiscardingTurn(loop)
        self.woken = loop.create_future()
        self.woken.set_result(None)
        # `_callbacks` is not documented. Loops may have futures of their own.
        self.continues_tasks = sys.version_info < (3, 15) and type(self.woken) is Future
        self.open_websocket = open_websocket
        self.opens_tunnels = open_websocket is not None
        self.eager_start = EagerStart()
        # A constant name: Python would format one for each task, which costs 5 % of a small request. One dictionary
        # for all tasks: a call with keywords would make a new one each time.
        self.task_options = {"loop": loop, "name": "ianus-request"}
        self.eager_options = {**self.task_options, "eager_start": True}
        self.scopes = Scopes(
            root_path=root_path, root_path_kept=root_path_kept, mount_prefix=mount_prefix,
            asgi_sendfile=asgi_sendfile, early_hints=early_hints, state=state,
        )
        self.early_hints = early_hints

    def tasks(self) -> list:
        """Returns the tasks of the application calls that have not returned."""
        cdef AsgiExchange exchange = self.first
        tasks = []
        while exchange is not None:
            if exchange.task is not None:
                tasks.append(exchange.task)
            # The list has the running calls only; an exchange removes itself when its call has ended.
            exchange = exchange.next
        return tasks

    def request_of(self, task) -> str:
        """Returns the request line of a call that has not returned, by its task; "" for another task."""
        cdef AsgiExchange exchange = self.first
        while exchange is not None:
            if exchange.task is task:
                return request_line(exchange)
            exchange = exchange.next
        return ""

    def end_cancelled(self) -> None:
        """Ends exchanges whose tasks were cancelled before their first step, if no connection will do that."""
        cdef AsgiExchange exchange = self.first, following
        while exchange is not None:
            # Read before: the exchange may remove itself from the list.
            following = exchange.next
            exchange.flush_deferred()
            exchange = following

    cdef object open(self, Request request):
        cdef AsgiExchange exchange = None
        # Without such a field the check costs nothing. A proxy may have removed the upgrade and kept the key.
        if (request.upgrade or request.websocket_key) and self.open_websocket is not None:
            exchange = self.open_websocket(request)
        if exchange is None:
            exchange = AsgiHttpExchange.__new__(AsgiHttpExchange)
        # A strong reference: the gateway lives at least as long as its exchanges.
        exchange.gateway = self
        return exchange
