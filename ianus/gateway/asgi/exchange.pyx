"""One call of an ASGI application: its task, its receive() and send(), and its end.

receive() and send() return objects of gateway/asgi/awaitables, which call back into the exchange.

Rule: the application's task is a plain asyncio.Task with its own context. Only its application, or the end of the
server, cancels it.

Compiled because every request passes here: 641 instructions for ASGI hello.
"""
cimport cython

import asyncio
import inspect

from cpython.object cimport PyObject_Call

from ianus.exchange.http cimport Exchange, Response, accepts_trailers, check_final, new_response, prepare_response
from ianus.exchange.response_head cimport ResponseFacts
from ianus.exchange.tunnel cimport TunnelExchange
from ianus.gateway.asgi.awaitables cimport new_receive, new_send
from ianus.gateway.asgi.gateway cimport AsgiGateway
from ianus.runtime.bound_method cimport bind

from ianus.exchange.disconnect import ClientDisconnected, Meaning, meaning_of
from ianus.gateway.asgi.run import run
from ianus.telemetry.logger import logger


cdef object Task = asyncio.Task
cdef object CancelledError = asyncio.CancelledError


@cython.no_gc
cdef class AsgiExchange(TunnelExchange):
    """One request in its application, which gets `receive` and `send`."""

    cdef bint start(self) except -1:
        cdef AsgiGateway gateway = <AsgiGateway>self.gateway
        # Before anything is counted, so that an exception in it changes no count.
        cdef dict scope = self.scope()
        # From here on application_ended() must be called, which counts it down.
        self.add_in_flight()
        self.running = True
        # Put in front of a doubly linked list, so that it is removed in constant time.
        self.next = gateway.first
        if gateway.first is not None:
            gateway.first.previous = self
        gateway.first = self
        # The methods are bound here without a look-up of their names.
        coroutine = run(gateway.app, scope, self, bind(RECEIVE, self), bind(SEND, self))
        try:
            task = PyObject_Call(Task, (coroutine,), gateway.task_options)
        except BaseException:
            # Task() has failed, so no call runs.
            self.application_ended()
            raise
        # An eager task may have ended in its first step. Then nothing must keep it alive.
        if self.running:
            self.task = task
        if gateway.eager:
            # The eager step is over: a head without a body yet is sent now, and not in the next pass.
            Exchange.flush_deferred(self)
        # True: the application runs later, so its output is waited for.
        return not gateway.eager

    cdef dict scope(self):
        raise NotImplementedError

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
            # The exchange has to end all the same, or its client would wait for ever.
            self.application_raised(CancelledError())
            return 0
        return Exchange.flush_deferred(self)

    cdef bint awaits_body(self) noexcept:
        return self.readers is not None and len(self.readers) > 0

    # ---------------------------------------------------------------- messages

    cdef dict next_message(self):
        raise NotImplementedError

    cdef dict stop_message(self):
        return None

    cdef int handle_message(self, object message) except -1:
        raise NotImplementedError

    cdef object discard(self, object message):
        raise NotImplementedError

    cdef int on_client_lost(self) except -1:
        return 0

    cdef bint needs_file(self) except -1:
        return False

    cdef int start_response(self, int status, object headers, bint trailing) except -1:
        cdef ResponseFacts facts
        cdef Response response = self.response
        cdef bint wanted
        # The session is None then, and has no encoder.
        if self.disconnected:
            raise ClientDisconnected
        check_final(status)
        # Otherwise trailers of the application are accepted and dropped.
        wanted = trailing and accepts_trailers(self.request)
        head = prepare_response(self, self.session.encoder, status, None, headers, False, wanted, &facts)
        # A denial of a WebSocket, or early hints, have made it already.
        if response is None:
            response = self.response = new_response()
        response.start(self, status, head, &facts)
        # A stream that starts after the stop of all streams is ended at once.
        if self.service.ends_streams:
            self.drain()
        response.trailers_follow = trailing
        if wanted and not response.no_body and response.declared_length < 0:
            # Chunks are needed for them, so not with a Content-Length (RFC 9112 section 7.1.2).
            response.trailers = []
        # If the application suspends now, the head is sent after the callbacks that are ready.
        return self.session.resume_soon(self.stream)

    # ---------------------------------------------------------------- the end

    def application_returned(self) -> bool:
        """Ends the exchange after its call has returned; run() calls it. Returns whether this is a forked child."""
        raise NotImplementedError

    def application_raised(self, error) -> bool:
        """Ends the exchange after its call has raised; run() calls it. Returns whether this is a forked child."""
        # First: it must also happen if the report raises.
        self.application_ended()
        # The child of a fork has no connection, and must exit.
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
            # The stop cancels tasks that have not ended in time.
            if self.service.draining:
                logger.info("application was cancelled, the server is stopping: %s", self.request_line())
            # Without a reason that the server knows: the application has cancelled itself.
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
        return self.fail_with_500() if not self.response_complete and not self.disconnected else 0

    cdef int application_ended(self) except -1:
        """Removes the exchange from the gateway's list, which kept its task alive."""
        self.running = False
        # Its place in the list, whose head is in the gateway.
        if self.previous is not None:
            self.previous.next = self.next
        else:
            (<AsgiGateway>self.gateway).first = self.next
        if self.next is not None:
            self.next.previous = self.previous
        # There is no garbage collection: a neighbour must not be kept by this exchange.
        self.previous = self.next = None
        # Ends the cycle of the task, its coroutine and this exchange.
        self.task = None
        self.remove_in_flight()
        return 0


# The methods that an application is given, bound for each request.
cdef object RECEIVE = AsgiExchange.receive
cdef object SEND = AsgiExchange.send


cdef bytes body_of(object body):
    # The usual type first; a subclass is copied below.
    if type(body) is bytes:
        return <bytes>body
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise TypeError(f"response body is bytes, not {type(body).__name__}")
    # A copy: the output keeps a reference until it is sent, and others may change meanwhile.
    return bytes(body)


cdef bint wake(list futures) except -1:
    """Wakes all waiting calls, which check their condition again. Returns whether there was one."""
    if not futures:
        return False
    for future in futures:
        # The future of a cancelled receive() is still in the list.
        if not future.done():
            future.set_result(None)
    # Each future is woken once.
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
