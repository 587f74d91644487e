"""One WSGI request: its body, its place in the thread pool's queue, and its response. PEP 3333 is in call.pyx.

Facts: a typical request has no body, and a typical response is one block. Strategy: a request gets a thread only when
its body is complete, and no thread waits for slow readers before the response buffer is full. A large body is complete
in a file, which costs more than its receipt. So if it arrives fast, the application is called early, and reads it from
the socket (arriving_body.pyx). A limited number of threads is used in this way.

Rule: this is the connection's side. The application's side does not call it, except to prepare a response.

Compiled because every WSGI request passes here: 491 instructions for WSGI hello.
"""
cimport cython

from cpython.bytes cimport PyBytes_FromStringAndSize

from ianus.codec.file_range cimport FileRange
from ianus.exchange.base cimport BodyInput
from ianus.exchange.http cimport Exchange, request_line
from ianus.exchange.in_flight_counter cimport NOT_COUNTED
from ianus.exchange.tunnel cimport TunnelExchange
from ianus.gateway.threads.executor cimport Executor
from ianus.gateway.wsgi.arriving_body cimport ArrivingBody, arriving_body
from ianus.gateway.wsgi.call cimport WsgiCall, new_call
from ianus.gateway.wsgi.gateway cimport WsgiGateway
from ianus.gateway.wsgi.outbox cimport Outbox
from ianus.runtime.clock cimport monotonic
from ianus.runtime.object_pool cimport pool_objects

from ianus.gateway.wsgi.spool import SpoolError
from ianus.telemetry.logger import logger


# The minimum speed at which the first bytes of a large body arrive for an early call. At a lower one, a thread waits.
cdef double MIN_ARRIVING_BYTES_PER_SECOND = 4 << 20


@cython.no_gc
cdef class WsgiExchange(TunnelExchange):
    """One request, and the connection's side of its call."""

    # ---------------------------------------------------------------- the request

    cdef bint start(self) except -1:
        cdef WsgiGateway gateway = <WsgiGateway>self.gateway
        # Kept apart: the application's side encodes the head when the session may be gone.
        self.encoder = self.session.encoder()
        # Before the call is made, in which other threads read the template.
        gateway.environs.learn_addresses(self.connection)
        self.add_in_flight()
        # No thread is used before the body is complete, or is known to arrive fast.
        if self.request_complete or self.body_size:
            self.notify_readable()
        else:
            self.want_body()
        return False

    cdef int body_arrived(self, const char* data, Py_ssize_t size) except -1:
        cdef WsgiGateway gateway = <WsgiGateway>self.gateway
        self.body_size += size
        if self.submitted:
            # The rest of a body that the application has not read.
            self.body_last = monotonic()
            self.body_received += size
            return 0
        if self.spool is None and (
            max(self.request.content_length, self.body_size) <= gateway.request_buffer
            # In memory until submit_early() has decided.
            or not self.pace_known and self.request.content_length > 0 and gateway.calls_early
        ):
            return Exchange.body_arrived(self, data, size)
        self.body_last = monotonic()
        self.body_received += size
        self.awaits_continue = False
        return self.store_body(PyBytes_FromStringAndSize(data, size))

    cdef int store_body(self, bytes data) except -1:
        """Appends to the body in its temporary file, which the first call makes."""
        if self.spool_error is not None or self.response_complete:
            return 0
        if self.spool is None:
            # Owned by this exchange until remove_from_flight().
            self.spool = (<WsgiGateway>self.gateway).spool.create()
        try:
            if self.buffered:
                # The bytes that arrived before the limit was passed
                self.spool.write(bytes(self.body))
                self.body = None
                self.buffered = 0
            if data:
                self.spool.write(data)
        except SpoolError as error:
            # A codec may be on the stack: the request is answered after it has returned (notify_readable()).
            self.spool_error = str(error)
            self.has_unread_input = True
        return 0

    cdef Py_ssize_t untaken_bytes(self) noexcept:
        # In memory or in a file, it waits for its end and not for the application.
        return 0

    cdef bint awaits_body(self) noexcept:
        # The application is called after the whole body alone.
        return not self.submitted

    cdef bint accepts_body(self) noexcept:
        # Not bounded by memory: a large body goes into the file.
        return not self.request_complete and self.spool_error is None and self.arriving_body is None

    cdef bint notify_readable(self) except -1:
        if self.submitted:
            if self.arriving_body is not None and self.response_complete:
                # The connection discards the rest.
                self.arriving_body.cut = True
            # Once submitted, the input of the connection no longer matters to the call.
            return self.cancel_queued() if self.disconnected and not self.service.forked else 0
        if self.disconnected or self.response_complete:
            return self.remove_from_flight()
        # start() was not called yet, or the request was rejected.
        if self.in_flight.kind == NOT_COUNTED:
            return 0
        if self.body is not None and not self.request_complete and (
            self.buffered > (<WsgiGateway>self.gateway).request_buffer
        ):
            # The only place where a large body is in memory: it was not decided yet.
            if self.submit_early():
                return 0
            self.store_body(None)
        if self.spool_error is not None:
            return self.reject_unstored_body()
        if self.request_complete:
            return self.submit()
        # If the client has finished early, the body is never complete, and the application is not called.
        return self.abort_response() if self.peer_finished else 0

    cdef int cancel_queued(self) except -1:
        """Removes a queued request whose client has disconnected from those that count for the limits."""
        cdef Executor executor = (<WsgiGateway>self.gateway).executor
        cdef bint dequeued
        if self.outbox is None:
            return 0
        # A pool thread may take the call from the queue at this moment.
        executor.lock_shared()
        dequeued = self.outbox.dequeued
        executor.unlock_shared()
        # A call that runs is counted until it has returned.
        return 0 if dequeued else self.remove_from_flight()

    cdef int reject_unstored_body(self) except -1:
        logger.error(
            "rejected a request with 503, its body cannot be stored: %s: %s", request_line(self), self.spool_error
        )
        return self.send_error(503, "the request body cannot be stored", [(b"retry-after", b"5")], True)

    cdef int submit(self) except -1:
        """Queues the call of a complete request."""
        cdef WsgiCall call
        if self.call_host is not None and not self.session.admit_call(
            self.stream, (<WsgiGateway>self.gateway).executor.call_limit
        ):
            # notify_readable() follows.
            return 0
        call = new_call(self)
        # Before submit(), which may make the call at once and end this exchange.
        self.submitted = True
        self.outbox = call
        self.has_call = True
        # The queue owns the call from here on, until a thread takes it.
        return call.executor.submit(call)

    cdef bint submit_early(self) except -1:
        """Queues the call of a request with a large body if that arrives fast and a thread is free. Whether it has."""
        cdef WsgiGateway gateway = <WsgiGateway>self.gateway
        cdef double seconds = self.body_last - self.body_since
        cdef BodyInput source
        cdef WsgiCall call
        if self.pace_known:
            return False
        self.pace_known = True
        if self.peer_finished or seconds * MIN_ARRIVING_BYTES_PER_SECOND > self.body_size:
            return False
        if not gateway.executor.reserve_body_thread():
            return False
        self.holds_body_thread = True
        source = self.session.lend_body(self.stream)
        if source is None:
            self.holds_body_thread = False
            gateway.executor.release_body_thread()
            return False
        call = new_call(self)
        self.arriving_body = arriving_body(
            source, self.service, call, self.take_body(), self.request.content_length - self.body_size, seconds
        )
        self.submitted = True
        self.outbox = call
        self.has_call = True
        # The connection's input is not its own any more.
        self.session.reconsider(self.stream)
        call.executor.submit(call)
        return True

    cdef int note_arrived_body(self, bint returned) except -1:
        """Notes the bytes that the application's side has received."""
        cdef ArrivingBody body = self.arriving_body
        cdef long long received = body.received - body.noted
        if received:
            body.noted += received
            self.body_received += received
            self.body_last = monotonic()
            if self.session is not None:
                # The codec counts them, too.
                self.session.note_body(self.stream, received)
        if body.expired and self.session is not None:
            self.session.body_expired(self.stream)
        if returned:
            # The connection reads the rest.
            body.close()
            self.arriving_body = None
            if self.session is not None:
                self.session.reconsider(self.stream)
        return 0

    cdef int end_call(self) except -1:
        """Unties the exchange from its call, which has returned or is not made."""
        # Ends the cycle of the call and this exchange.
        self.outbox = None
        self.has_call = False
        if self.arriving_body is not None:
            # Of a call that is not made: its connection is closing.
            self.arriving_body.close()
            self.arriving_body = None
        self.remove_from_flight()
        return self.call_host.on_call_ended(self.stream) if self.call_host is not None else 0

    cdef int remove_from_flight(self) except -1:
        """Removes the request from those in flight, and frees its spooled body."""
        self.remove_in_flight()
        if self.holds_body_thread:
            self.holds_body_thread = False
            (<WsgiGateway>self.gateway).executor.release_body_thread()
        if self.spool is not None:
            if not self.service.forked:
                # In a forked child a thread of the parent may have held its lock.
                self.spool.close()
            self.spool = None
        return 0

    # ---------------------------------------------------------------- the response

    cdef int send_output(
        self, Outbox outbox, list hints, object head, long long length, object pieces, bint end, bint failed,
        bint returned
    ) except -1:
        """Sends the content that was taken from the outbox of the call. returned: it is the last one."""
        # A connection's next request waits until this call has returned: k connections never have more than k calls.
        self.response.defer_completion = not returned
        try:
            if self.arriving_body is not None:
                # Before the response, whose end depends on the end of the request.
                self.note_arrived_body(returned)
            # After a disconnect, or the end of the response, the output is dropped.
            if self.session is not None and not self.response.completion_deferred:
                if head is not None:
                    self.response.computed_length = length
                self.send_parts(outbox, hints, head, pieces, end, failed)
            # The response was queued before. Now the call has returned, too.
            if returned and self.response.completion_deferred and self.session is not None:
                self.complete()
        finally:
            if returned:
                self.end_call()
            else:
                # The outbox learns how much is unsent, and may let the thread continue.
                self.notify_writable()
        return 0

    cdef int send_parts(self, Outbox outbox, list hints, object head, object pieces, bint end, bint failed) except -1:
        """Sends the parts of a response. The session may end meanwhile, by a disconnect or a complete response."""
        cdef Py_ssize_t left
        if hints is not None:
            for hint in hints:
                self.response.send_hints(self, hint)
                # Each step may show that the client has disconnected.
                if self.session is None:
                    return 0
        if head is not None:
            # The application's side has checked the head, and does not change these any more.
            self.response.start(self, outbox.status, head, &outbox.facts)
            if self.service.ends_streams:
                self.drain()
                if self.session is None:
                    return 0
        if type(pieces) is list:
            left = len(<list>pieces)
            for piece in <list>pieces:
                left -= 1
                # `end` belongs to the last piece of the list.
                self.send_part(piece, not end or left > 0)
                if self.session is None:
                    return 0
        elif pieces is not None:
            self.send_part(pieces, not end)
        elif end:
            # A response without a body, or whose last piece was taken before.
            self.response.send_body(self, b"", False)
        return self.fail_with_500() if failed and self.session is not None else 0

    cdef int send_part(self, object piece, bint more) except -1:
        if type(piece) is bytes:
            return self.response.send_body(self, <bytes>piece, more)
        return self.response.send_file(self, <FileRange>piece, more, False)

    cdef int notify_writable(self) except -1:
        """Informs the outbox that the client has read or disconnected."""
        cdef Py_ssize_t unsent = 0
        if self.outbox is None:
            return 0
        # A plain store: the thread reads it between two blocks, also without the mutex.
        self.outbox.disconnected = self.disconnected
        if self.service.forked:
            # In a forked child the thread that held the mutex does not exist, so it is never released.
            return 0
        if self.session is not None:
            unsent = self.session.unsent(self.stream)
        return self.outbox.note_unsent(unsent)


pool_objects(WsgiExchange)
