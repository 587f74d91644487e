"""One call of an ASGI application: its task, its receive() and send(), and its end.

receive() and send() return objects of gateway/asgi/awaitables, which call back into the exchange.

Rule: the application's task is a plain asyncio.Task with its own context. Only its application, or the end of the
server, cancels it.

Compiled because every request passes here: 419 instructions for ASGI hello.
"""
cimport cython

import asyncio

from cpython.object cimport PyObject_Call

from ianus.exchange.http cimport (
    Exchange, Response, accepts_trailers, check_final, new_response, prepare_response, request_line,
)
from ianus.exchange.response_head cimport ResponseFacts
from ianus.exchange.tunnel cimport TunnelExchange
from ianus.gateway.asgi.application_call cimport new_call
from ianus.gateway.asgi.awaitables cimport drop_message
from ianus.gateway.asgi.eager_start cimport EagerStart
from ianus.gateway.asgi.gateway cimport AsgiGateway
from ianus.runtime.clock cimport monotonic

from ianus.exchange.disconnect import ClientDisconnected, Meaning, meaning_of
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
        cdef object task
        cdef EagerStart starts = gateway.eager_start
        cdef bint eager = starts.is_possible and (
            starts.measure_next() or not starts.is_slow or not starts.has_batch()
        )
        # Read here, as the application may lead to another start.
        cdef double since = starts.since
        # From here on application_ended() must be called, which counts it down.
        self.add_in_flight()
        self.has_call = True
        # Put in front of a doubly linked list, so that it is removed in constant time.
        self.next = gateway.first
        if gateway.first is not None:
            gateway.first.previous = self
        gateway.first = self
        try:
            task = PyObject_Call(
                Task, (new_call(self, scope),), gateway.eager_options if eager else gateway.task_options
            )
        except BaseException:
            # Task() has failed, so no call runs.
            if self.has_call:
                self.application_ended()
            raise
        # An eager task may have ended in its first step. Then nothing must keep it alive.
        if self.has_call:
            self.task = task
        if eager:
            if since:
                starts.note(monotonic() - since)
            # The eager step is over: a head without a body yet is sent now, and not in the next pass.
            Exchange.flush_deferred(self)
        # True: the application runs later, so its output is waited for.
        return not eager

    cdef dict scope(self):
        raise NotImplementedError

    cdef int flush_deferred(self) except -1:
        if self.has_call and self.task is not None and self.task.done():
            # Cancelled before its first step, so no ApplicationCall has noticed it.
            # The exchange has to end all the same, or its client would wait for ever.
            self.application_raised(CancelledError())
            return 0
        return Exchange.flush_deferred(self)

    cdef bint awaits_body(self) noexcept:
        return self.readers is not None and self.readers.are_waiting()

    cdef bint on_input(self) except -1:
        cdef bint is_later
        self.may_continue = True
        try:
            is_later = self.notify_readable()
        finally:
            self.may_continue = False
        if not is_later:
            # As after an eager step.
            Exchange.flush_deferred(self)
        return is_later

    cdef bint wake_readers(self) except -1:
        if self.readers is None:
            return False
        return self.readers.wake(<AsgiGateway>self.gateway, self.task, self.may_continue)

    cdef bint wake_writers(self) except -1:
        # Also called while output is being sent, so never at once.
        return self.writers is not None and self.writers.wake(<AsgiGateway>self.gateway, None, False)

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
        head = prepare_response(self, self.session.encoder(), status, None, headers, False, wanted, &facts)
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

    cdef bint application_returned(self) except -1:
        raise NotImplementedError

    cdef bint application_raised(self, object error) except -1:
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
            logger.exception("internal error; connection closed: %s", request_line(self))
            self.abort_response()
        return False

    cdef int report_raised(self, object error) except -1:
        """Logs an exception of the application, unless it only means that the client has disconnected."""
        meaning = meaning_of(error)
        if meaning is Meaning.CANCELLATION:
            # The stop cancels tasks that have not ended in time.
            if self.service.draining:
                logger.info("application was cancelled, the server is stopping: %s", request_line(self))
            # Without a reason that the server knows: the application has cancelled itself.
            elif not self.client_left() and not self.response_complete:
                self.report("application was cancelled", None)
        elif issubclass(type(error), KeyboardInterrupt):
            self.report("application was interrupted", None)
        elif meaning is Meaning.NOTICE and self.client_left():
            logger.info("client disconnected, application raised %s: %s", type(error).__name__, request_line(self))
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
        self.has_call = False
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
        if self.readers is not None:
            self.readers.forget_task()
        drop_message(<AsgiGateway>self.gateway)
        self.remove_in_flight()
        return self.call_host.on_call_ended(self.stream) if self.call_host is not None else 0


cdef bytes body_of(object body):
    # The usual type first; a subclass is copied below.
    if type(body) is bytes:
        return <bytes>body
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise TypeError(f"response body is bytes, not {type(body).__name__}")
    # A copy: the output keeps a reference until it is sent, and others may change meanwhile.
    return bytes(body)
