"""ASGI on top of exchanges: messages, and the end of application calls. Scopes are in gateway/asgi/scope.

receive() and send() return objects of gateway/asgi/awaitables, which call back into this module.

Rule: the application's task is a plain asyncio.Task with its own context. Only its application, or the end of the
server, cancels it.

Compiled because every request passes here.
"""
cimport cython

import asyncio
import inspect
import sys

from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Copy
from cpython.object cimport PyObject_Call

from ianus.codec.base cimport Request
from ianus.codec.file_range cimport FileRange, file_range
from ianus.exchange.response_head cimport ResponseFacts, build_hints
from ianus.exchange.gateway cimport Gateway
from ianus.exchange.http cimport Exchange
from ianus.gateway.asgi.awaitables cimport new_receive, new_send
from ianus.gateway.asgi.scope cimport Scopes
from ianus.gateway.asgi.messages cimport Message, read_message, required, search_message, unexpected

from ianus.exchange.disconnect import ClientDisconnected, Meaning, meaning_of
from ianus.gateway.asgi.discarding import DiscardedSends
from ianus.gateway.files import open_whole, part_of
from ianus.gateway.asgi.run import run
from ianus.telemetry.logger import logger


cdef object Task = asyncio.Task
cdef object CancelledError = asyncio.CancelledError

# Seconds between the return of a send() that waited for a client that has disconnected, and the http.disconnect for
# another task, which will probably cancel the sender. The sender should then wait for something of its own, or its
# generator would be abandoned without its `finally`. Several middlewares take a few iterations of the loop for this.
cdef double SENDERS_FIRST_SECONDS = 0.02
# Seconds in which an event stream has to call receive() when the server stops; then its response is ended.
cdef double STOP_NOTICE_SECONDS = 0.5


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
        self.open_websocket = open_websocket
        self.create_future = loop.create_future
        # Python 3.12 and newer run a task's first step at once. A call that completes in it never waits for the loop.
        self.eager = sys.version_info >= (3, 12)
        # A constant name: Python would format one for each task, which costs 5 % of a small request. One dictionary
        # for all tasks: a call with keywords would make a new one each time.
        self.task_options = {"loop": loop, "name": "ianus-request"}
        if self.eager:
            self.task_options["eager_start"] = True
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
            exchange = exchange.next
        return tasks

    def end_cancelled(self) -> None:
        """Ends exchanges whose tasks were cancelled before their first step, if no connection will do that."""
        cdef AsgiExchange exchange = self.first, following
        while exchange is not None:
            following = exchange.next
            exchange.flush_deferred()
            exchange = following

    cdef object open(self, Request request):
        cdef AsgiExchange exchange = None
        if (request.upgrade or request.websocket_key) and self.open_websocket is not None:
            exchange = self.open_websocket(request)
        if exchange is None:
            exchange = AsgiExchange.__new__(AsgiExchange)
        exchange.gateway = self
        return exchange


@cython.no_gc
cdef class AsgiExchange(Exchange):
    """One request in its application, which gets `receive` and `send`."""

    cdef bint start(self) except -1:
        cdef AsgiGateway gateway = <AsgiGateway>self.gateway
        cdef dict scope = self.scope()
        self.add_in_flight()
        self.running = True
        self.next = gateway.first
        if gateway.first is not None:
            gateway.first.previous = self
        gateway.first = self
        coroutine = run(gateway.app, scope, self, self.receive, self.send)
        try:
            task = PyObject_Call(Task, (coroutine,), gateway.task_options)
        except BaseException:
            self.application_ended()
            raise
        if self.running:
            self.task = task
        if gateway.eager:
            self.send_head_now()
        return not gateway.eager

    cdef dict scope(self):
        return (<AsgiGateway>self.gateway).scopes.make(self)

    # Only functions with binding can be marked as coroutine functions; see mark_as_coroutine_function().
    @cython.binding(True)
    def receive(self):
        """Returns the awaitable of the next message (ASGI HTTP, "receive events")."""
        return new_receive(self)

    @cython.binding(True)
    def send(self, message):
        """Returns the awaitable that sends one message.

        Raises, when awaited: TypeError, ValueError or RuntimeError for a message that is invalid or out of order.
        gateway/asgi/discarding describes send() after the client has disconnected.
        """
        return new_send(self, message)

    cdef int flush_deferred(self) except -1:
        if self.running and self.task is not None and self.task.done():
            # Cancelled before its first step, so `run` never ran.
            self.application_raised(CancelledError())
            return 0
        return self.send_head_now()

    # ---------------------------------------------------------------- receive

    cdef dict next_message(self):
        """Returns the next message, or None if the application has to wait for it."""
        if self.response_complete or self.disconnected:
            return self.disconnect_message()
        if self.buffered:
            self.end_received = self.request_complete
            return {"type": "http.request", "body": self.take_body(), "more_body": not self.request_complete}
        if not self.request_complete:
            if self.peer_finished:
                return self.disconnect_message()
            self.want_body()
            # Sending 100 may have shown that the client has disconnected. A future made after that is never woken.
            return self.disconnect_message() if self.disconnected else None
        if not self.end_received:
            self.end_received = True
            return {"type": "http.request", "body": b"", "more_body": False}
        return self.disconnect_message() if self.peer_finished else None

    cdef dict disconnect_message(self):
        self.disconnect_received = True
        return {"type": "http.disconnect"}

    cdef dict stop_message(self):
        """Returns http.disconnect for a receive() that would wait while the server stops, or None to keep waiting."""
        if not self.stopped and not self.status and self.request_complete:
            # The application waits only for its client.
            self.stopped = asyncio.current_task((<AsgiGateway>self.gateway).loop) is self.task
        return self.disconnect_message() if self.stopped else None

    cdef bint is_long_poll(self) except -1:
        """Returns whether the task of the request waits in receive() and has not answered: a long poll.

        A receive() of another task does not count: frameworks keep one for each request.
        """
        if self.status or not self.request_complete or not self.readers or self.task is None:
            return False
        return getattr(self.task, "_fut_waiter", None) in self.readers

    cdef int drain(self) except -1:
        Exchange.drain(self)
        if self.service.ends_streams and not self.stopped and self.is_long_poll():
            self.stop_stream()
        return 0

    cdef int stop_stream(self) except -1:
        # The application ends its stream, if it calls receive(); otherwise stop_deadline() does.
        self.stopped = True
        wake(self.readers)
        return 0

    cdef double stop_deadline(self) noexcept:
        return 0 if self.disconnect_received else self.service.streams_end_since + STOP_NOTICE_SECONDS

    cdef bint awaits_body(self) noexcept:
        return self.readers is not None and len(self.readers) > 0

    cdef bint notify_readable(self) except -1:
        if self.senders_first:
            self.senders_first = False
            (<AsgiGateway>self.gateway).loop.call_later(SENDERS_FIRST_SECONDS, self.wake_readers)
            return False
        return wake(self.readers)

    def wake_readers(self) -> None:
        """Wakes all receive() calls that wait."""
        wake(self.readers)

    # ---------------------------------------------------------------- send

    cdef int handle_message(self, object message) except -1:
        """Acts on one message from the application."""
        cdef object body, status, headers
        cdef str kind
        cdef bint more
        cdef Message m
        if self.response_complete or self.file_is_last:
            # ASGI HTTP: further messages are ignored.
            return 0
        if type(message) is not dict:
            message = dict(message)
        if not read_message(<dict>message, &m):
            # Comparing keys that are not plain strings may run code that changes the message, whose values `m` borrows.
            message = PyDict_Copy(<dict>message)
            search_message(<dict>message, &m)
        if m.kind == NULL or not isinstance(<object>m.kind, str):
            raise ValueError("ASGI message has no 'type' string")
        kind = <str>m.kind
        if not self.status:
            if kind != "http.response.start":
                if kind == "http.response.early_hint":
                    return self.send_links(required(<dict>message, "links"))
                raise unexpected(kind, "http.response.start")
            if m.status == NULL or not isinstance(<object>m.status, int):
                raise TypeError("response status is an int")
            # bool() and bytes() may run code that changes the message, so own references to its values are needed here.
            status = <object>m.status
            headers = () if m.headers == NULL else <object>m.headers
            more = m.trailers != NULL and bool(<object>m.trailers)
            return self.start_response(status, headers, more)
        if kind != "http.response.body" or self.body_complete:
            return self.handle_extension(kind, <dict>message)
        body = b"" if m.body == NULL else <object>m.body
        more = m.more_body != NULL and bool(<object>m.more_body)
        if type(body) is not bytes:
            if not isinstance(body, (bytes, bytearray, memoryview)):
                raise TypeError(f"response body is bytes, not {type(body).__name__}")
            body = bytes(body)
        self.produced_bytes += PyBytes_GET_SIZE(body)
        return self.send_body(<bytes>body, more)

    cdef int start_response(self, int status, object headers, bint trailing) except -1:
        cdef ResponseFacts facts
        cdef bint wanted
        if self.disconnected:
            raise ClientDisconnected
        self.check_final(status)
        wanted = trailing and self.accepts_trailers()
        self.begin_response(
            status, self.prepare_response(self.session.encoder, status, None, headers, False, wanted, &facts), &facts
        )
        if self.service.ends_streams:
            self.drain()
        self.trailers_follow = trailing
        if wanted and not self.no_body and self.declared_length < 0:
            self.trailers = []
        # If the application suspends now, the head is sent after the callbacks that are ready.
        return self.session.resume_soon(self.stream)

    cdef int handle_extension(self, str kind, dict message) except -1:
        """Acts on a message of an extension, after http.response.start."""
        cdef FileRange part
        cdef bint more
        if self.is_event_stream and self.service.draining and kind == "http.response.start":
            # The package mcp starts a second response after its stream was ended by the stop.
            return self.end_stopped()
        if self.body_complete:
            if kind != "http.response.trailers":
                raise unexpected(kind, "http.response.trailers")
            return self.send_trailers(message.get("headers", ()), bool(message.get("more_trailers")))
        if kind == "http.response.zerocopysend":
            fd, offset, count = part_of(required(message, "file"), message.get("offset"), message.get("count"))
            part = file_range(fd, offset, count)
            more = bool(message.get("more_body"))
            self.produced_bytes += part.left
            self.send_file(part, more, True)
            # Set only after send_file() has accepted the file: send() does not wait for a refused one.
            self.file = part
            self.file_is_last = not more
            return 0
        if kind == "http.response.pathsend":
            if self.bytes_sent:
                raise RuntimeError("http.response.pathsend cannot follow other pieces of the body")
            fd, count = open_whole(required(message, "path"))
            if 0 <= self.declared_length < count:
                # The file has grown since the application read its size.
                count = self.declared_length
            return self.send_file(file_range(fd, 0, count), False, False)
        if kind == "http.response.early_hint":
            return self.send_links(required(message, "links"))
        raise unexpected(kind, "http.response.body")

    cdef int send_links(self, object links) except -1:
        head = build_hints(self.session.encoder, [(b"link", link) for link in links])
        # Without the extension, invalid links raise an error, but valid ones are not sent.
        return self.send_hints(head) if (<AsgiGateway>self.gateway).early_hints else 0

    cdef bint needs_file(self) except -1:
        """Returns whether a file of zerocopysend is not sent completely. The end of the response waits for that."""
        if self.file is None:
            return False
        if self.disconnected:
            # Perhaps this very send() has shown it. A future made after that is never woken.
            self.file = None
            return False
        if self.file.left and not self.no_body:
            return True
        self.file = None
        if self.file_is_last:
            self.file_is_last = False
            self.piece_sent(False)
        return False

    cdef int notify_writable(self) except -1:
        if wake(self.writers) and self.disconnected and self.readers:
            self.senders_first = True
        return 0

    cdef object discard(self, object message):
        """Discards a message after a disconnect. Returns None, or an iterator that send() has to finish first."""
        cdef object loop = (<AsgiGateway>self.gateway).loop
        if self.discarded_sends is None:
            self.discarded_sends = DiscardedSends(loop, finite=self.declared_length >= 0)
        return self.discarded_sends.send(
            message, in_request_task=asyncio.current_task(loop) is self.task, stopping=self.stopped
        )

    cdef int on_client_lost(self) except -1:
        """Handles a disconnect while send() waited. Before spec version 2.4 that is not an error."""
        return 0

    # ---------------------------------------------------------------- the end

    def application_returned(self) -> bool:
        """Ends the exchange after its call has returned; run() calls it. Returns whether this is a forked child."""
        self.application_ended()
        if self.response_complete or self.disconnected:
            return self.service.forked
        if self.stopped or self.status and self.service.draining:
            self.end_stopped()
            return False
        if self.disconnect_received:
            # The application has received http.disconnect and has ended for that reason.
            self.abort_response()
            return False
        if not self.status:
            self.report("application returned without starting a response", None)
        else:
            self.report("application returned without completing its response", None)
        self.fail_with_500()
        return False

    cdef int end_stopped(self) except -1:
        """Ends a stream, or a request without a response, whose application has ended because the server stops."""
        if not self.status:
            return self.send_error(503, "the server is stopping", [(b"retry-after", b"1")], True)
        if self.is_event_stream:
            return self.end_events()
        logger.info("response ended early, the server is stopping: %s", self.request_line())
        return self.abort_response()

    def application_raised(self, error) -> bool:
        """Ends the exchange after its call has raised; run() calls it. Returns whether this is a forked child."""
        self.application_ended()
        if self.service.forked:
            return True
        try:
            self.report_raised(error)
        except BaseException:
            # The methods of the application's exception may raise, too; the exchange has to end nevertheless.
            self.report("exception in application", error)
        try:
            self.end_failed()
        except BaseException:
            logger.exception("internal error; connection closed: %s", self.request_line())
            self.abort_response()
        return False

    cdef int report_raised(self, object error) except -1:
        """Logs an exception of the application, unless it only means that the client has disconnected."""
        meaning = meaning_of(error)
        if meaning is Meaning.CANCELLATION:
            if self.service.draining:
                logger.info("application was cancelled, the server is stopping: %s", self.request_line())
            elif not self.client_left() and not self.response_complete:
                self.report("application was cancelled", None)
        elif issubclass(type(error), KeyboardInterrupt):
            self.report("application was interrupted", None)
        elif meaning is Meaning.NOTICE and self.client_left():
            logger.info("client disconnected, application raised %s: %s", type(error).__name__, self.request_line())
        elif meaning is not Meaning.DISCONNECT:
            # Logged after a disconnect, too: a clean-up that fails is an error like any other.
            self.report("exception in application", error)
        return 0

    cdef bint client_left(self) noexcept:
        """Returns whether the client has disconnected as far as the application can know."""
        return self.disconnected or self.disconnect_received

    cdef int end_failed(self) except -1:
        """Ends the response of a call that has raised."""
        if not self.response_complete and not self.disconnected:
            # Frameworks turn http.disconnect into exceptions and cancellations.
            return self.end_stopped() if self.stopped else self.fail_with_500()
        return 0

    cdef int application_ended(self) except -1:
        """Removes the exchange from the gateway's list, which kept its task alive."""
        self.running = False
        if self.previous is not None:
            self.previous.next = self.next
        else:
            (<AsgiGateway>self.gateway).first = self.next
        if self.next is not None:
            self.next.previous = self.previous
        self.previous = self.next = None
        self.task = None
        self.remove_in_flight()
        return 0


cdef bint wake(list futures) except -1:
    """Wakes all waiting calls, which check their condition again. Returns whether there was one."""
    if not futures:
        return False
    for future in futures:
        if not future.done():
            future.set_result(None)
    futures.clear()
    return True


cdef extern from *:
    """
    #define ianus_set_code(function, code) \\
        Py_XSETREF(((__pyx_CyFunctionObject *)(function))->func_code, Py_NewRef(code))
    """
    void set_code "ianus_set_code"(object function, object code)


cdef int mark_as_coroutine_function(object function) except -1:
    """Lets inspect.iscoroutinefunction() answer yes. asgiref's async_to_sync(), for example, warns of other functions.

    Python 3.11 has no mark; there the answer is in the flags of the code object, which nothing else reads.
    """
    if hasattr(inspect, "markcoroutinefunction"):
        inspect.markcoroutinefunction(function)
    else:
        set_code(function, function.__code__.replace(co_flags=function.__code__.co_flags | inspect.CO_COROUTINE))
    return 0


mark_as_coroutine_function(AsgiExchange.receive)
mark_as_coroutine_function(AsgiExchange.send)
