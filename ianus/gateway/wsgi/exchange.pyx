"""One WSGI request and its application call (PEP 3333).

Facts: a typical request has no body, and a typical response is one block. Strategy: the head of a response is checked,
encoded and kept until the first block, and both are sent together. A request gets a thread only when its body is
complete, and no thread waits for slow readers before the response buffer is full.

Rules:
- The declared length is sent: a longer body is cut off, a shorter one breaks the response.
- A block is sent before the next one is requested ("Buffering and Streaming"). close() is always called.
- Only the connection's side uses the connection; exchange.pxd describes the two sides.

Compiled because every WSGI request passes here.
"""
cimport cython
import sys

from cpython.bytes cimport (
    PyBytes_AS_STRING, PyBytes_Check, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE,
)
from cpython.contextvars cimport PyContext_Copy, PyContext_Enter, PyContext_Exit

from ianus.codec.file_range cimport FileRange, file_range
from ianus.exchange.response_head cimport ResponseFacts, build_hints
from ianus.exchange.http cimport Exchange
from ianus.exchange.in_flight_counter cimport NOT_COUNTED
from ianus.gateway.wsgi.gateway cimport WsgiGateway
from ianus.runtime.clock cimport monotonic

from io import BytesIO

from ianus.exchange.disconnect import ClientDisconnected, Meaning, meaning_of
from ianus.gateway.wsgi.file_wrapper import FileWrapper, file_part
from ianus.gateway.forked_child import end_child
from ianus.gateway.wsgi.spool import SpoolError
from ianus.telemetry.logger import logger


cdef str HTTP_1_1 = sys.intern("1.1")   # the object of codec/http1/head


cdef extern from *:
    """
    /* The bound method, without looking its name up. */
    #define ianus_bind(method, object) Py_TYPE(method)->tp_descr_get(method, object, (PyObject *)Py_TYPE(object))
    """
    object bind "ianus_bind"(object method, object instance)


cdef class WsgiExecutor:
    cdef int submit(self, WsgiExchange exchange) except -1:
        raise NotImplementedError

    cdef int lock(self) except -1:
        raise NotImplementedError

    cdef int unlock(self) except -1:
        raise NotImplementedError

    cdef int notify_outbox(self, WsgiExchange exchange) except -1:
        raise NotImplementedError

    cdef int lock_shared(self) except -1:
        raise NotImplementedError

    cdef int unlock_shared(self) except -1:
        raise NotImplementedError

    cdef int wait_until_writable(self, WsgiExchange exchange) except -1:
        raise NotImplementedError

    cdef int resume_writer(self, WsgiExchange exchange) except -1:
        raise NotImplementedError


@cython.no_gc
cdef class WsgiExchange(Exchange):
    """One request and its call of the application."""

    def __cinit__(self):
        self.out_length = -1
        self.expected_length = -1

    # ---------------------------------------------------------------- the connection's side: the request

    cdef bint start(self) except -1:
        cdef WsgiGateway gateway = <WsgiGateway>self.gateway
        self.encoder = self.session.encoder
        gateway.environs.learn_server(self.connection.server)
        self.evidence = gateway.predictor.evidence_of(self.request)
        self.add_in_flight()
        # No thread is used before the body is complete.
        if self.request_complete or self.spool_error is not None:
            self.notify_readable()
        else:
            self.want_body()
        return False

    cdef int body_arrived(self, const char* data, Py_ssize_t size) except -1:
        cdef WsgiGateway gateway = <WsgiGateway>self.gateway
        self.body_size += size
        if self.spool is None:
            if max(self.request.content_length, self.body_size) <= gateway.request_buffer:
                return Exchange.body_arrived(self, data, size)
            if self.spool_error is None and not self.response_complete:
                self.spool = gateway.spool.create()
        self.body_last = monotonic()
        self.body_received += size
        self.awaits_continue = False
        if self.spool_error is None and not self.response_complete:
            try:
                if self.buffered:
                    self.spool.write(bytes(self.body))
                    self.body = None
                    self.buffered = 0
                self.spool.write(PyBytes_FromStringAndSize(data, size))
            except SpoolError as error:
                # A codec is on the stack: the request is answered after it has returned (notify_readable()).
                self.spool_error = str(error)
                self.has_unread_input = True
        return 0

    cdef bint awaits_body(self) noexcept:
        return not self.submitted

    cdef bint accepts_body(self) noexcept:
        return not self.request_complete and self.spool_error is None

    cdef bint notify_readable(self) except -1:
        cdef WsgiExecutor executor = (<WsgiGateway>self.gateway).executor
        cdef bint dequeued
        if self.submitted:
            if not self.disconnected or self.service.forked:
                return 0
            executor.lock_shared()
            dequeued = self.dequeued
            executor.unlock_shared()
            # The client disconnected while its request was queued: it no longer counts for the limits.
            return 0 if dequeued else self.remove_from_flight()
        if self.disconnected or self.response_complete:
            return self.remove_from_flight()
        if self.in_flight.kind == NOT_COUNTED:
            return 0
        if self.spool_error is not None:
            logger.error(
                "rejected a request with 503, its body cannot be stored: %s: %s", self.request_line(), self.spool_error
            )
            return self.send_error(503, "the request body cannot be stored", [(b"retry-after", b"5")], True)
        if self.request_complete:
            self.submitted = True
            return executor.submit(self)
        if self.peer_finished:
            # The body can never be complete, so the application is not called.
            return self.abort_response()
        return 0

    cdef int remove_from_flight(self) except -1:
        """Removes the request from those in flight, and frees its spooled body."""
        self.remove_in_flight()
        if self.spool is not None:
            if not self.service.forked:
                # In a forked child a thread of the parent may have held its lock.
                self.spool.close()
            self.spool = None
        return 0

    # ---------------------------------------------------------------- the connection's side: the response

    cdef int collect(self) except -1:
        cdef WsgiExecutor executor = (<WsgiGateway>self.gateway).executor
        cdef list hints, pieces
        cdef object head
        cdef bint end, failed, returned
        executor.lock_shared()
        hints = self.out_hints
        head = self.out_head
        pieces = self.out_pieces
        end = self.out_end
        failed = self.out_failed
        returned = self.out_returned
        if head is not None:
            self.computed_length = self.out_length
        self.out_hints = self.out_pieces = None
        self.out_head = None
        self.out_end = self.out_failed = self.out_returned = self.posted = False
        executor.unlock_shared()
        # A connection's next request waits until this call has returned: k connections never have more than k calls.
        self.defer_completion = not returned
        try:
            if self.session is not None and not self.completion_deferred:
                self.send_collected(hints, head, pieces, end, failed)
            if returned and self.completion_deferred and self.session is not None:
                self.complete()
        finally:
            if returned:
                self.remove_from_flight()
            self.notify_writable()
        return 0

    cdef int send_collected(self, list hints, object head, list pieces, bint end, bint failed) except -1:
        """Sends the collected output. The session may end meanwhile, by a disconnect or a complete response."""
        cdef Py_ssize_t left
        if hints is not None:
            for hint in hints:
                self.send_hints(hint)
                if self.session is None:
                    return 0
        if head is not None:
            self.begin_response(self.prepared_status, head, &self.facts)
            if self.service.ends_streams:
                self.drain()
                if self.session is None:
                    return 0
        if pieces is not None:
            left = len(pieces)
            for piece in pieces:
                left -= 1
                if type(piece) is bytes:
                    self.send_body(<bytes>piece, not end or left > 0)
                else:
                    self.send_file(<FileRange>piece, not end or left > 0, False)
                if self.session is None:
                    return 0
        elif end:
            self.send_body(b"", False)
        return self.fail_with_500() if failed else 0

    cdef int discard_outbox(self) except -1:
        """Discards the content of the outbox, since the server has closed and cannot collect it."""
        self.out_hints = self.out_pieces = None
        self.out_head = None
        self.unsent_bytes = 0
        return 0

    cdef int notify_writable(self) except -1:
        """Updates unsent_bytes after the client has read or disconnected, and wakes its thread if it need not wait."""
        cdef WsgiExecutor executor = (<WsgiGateway>self.gateway).executor
        cdef Py_ssize_t unsent = 0
        if self.service.forked:
            # In a forked child the thread that held the mutex does not exist, so it is never released.
            return 0
        if self.session is not None:
            unsent = self.session.unsent(self.stream)
        executor.lock_shared()
        if self.out_pieces is None:
            self.unsent_bytes = unsent
        if self.waits_for_client and (
            self.disconnected or self.unsent_bytes <= (<WsgiGateway>self.gateway).response_buffer // 2
        ):
            self.waits_for_client = False
            executor.resume_writer(self)
        executor.unlock_shared()
        return 0

    # ---------------------------------------------------------------- the application's side

    cdef int call_application(self) except -1:
        cdef WsgiGateway gateway = <WsgiGateway>self.gateway
        context = PyContext_Copy(gateway.context)
        PyContext_Enter(context)
        try:
            self.run_application()
        finally:
            PyContext_Exit(context)
        if gateway.errors.has_unfinished_lines:
            # The unfinished line must not mix with that of the next request in this thread.
            gateway.errors.flush()
        if self.spool is not None:
            self.spool.close()
        return 0

    cdef int run_application(self) except -1:
        """Calls the application, sends its result, and closes it. Catches all its exceptions."""
        cdef WsgiGateway gateway = <WsgiGateway>self.gateway
        result = None
        try:
            result = gateway.app(self.environ(), bind(START_RESPONSE, self))
            self.send_result(result)
        except BaseException as error:
            self.on_application_raised(error)
        if self.service.forked:
            end_child(None)
        if type(result) is list:
            return 0
        try:
            close = getattr(result, "close", None)
            if close is not None:
                if not self.body_over:
                    # The client does not have to wait for close().
                    gateway.executor.lock()
                    try:
                        self.put_last_piece()
                        gateway.executor.notify_outbox(self)
                    finally:
                        gateway.executor.unlock()
                close()
        except BaseException as error:
            if self.service.forked:
                end_child(error)
            self.report_raised("close() of the application's response failed", error)
        if self.service.forked:
            end_child(None)
        return 0

    cdef dict environ(self):
        cdef object body, hints = None
        if self.spool is not None:
            body = self.spool.rewind()
        else:
            body = BytesIO(self.take_body())
        # RFC 9110 section 15.2: a client of HTTP/1.0 would take an interim response for the final one.
        if (<WsgiGateway>self.gateway).early_hints and self.request.http_version is HTTP_1_1:
            hints = bind(EARLY_HINTS, self)
        return (<WsgiGateway>self.gateway).environs.make(self, body, self.body_size, hints)

    def start_response(self, status, headers, exc_info=None):
        """PEP 3333, "The start_response() Callable". Returns write()."""
        cdef WsgiGateway gateway = <WsgiGateway>self.gateway
        cdef ResponseFacts facts
        cdef int code
        if exc_info is not None:
            if not isinstance(exc_info, tuple) or len(exc_info) != 3:
                raise TypeError("exc_info must be a tuple as sys.exc_info() returns it")
            try:
                if self.head_taken:
                    # The head was sent and cannot be replaced.
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.start_called:
            # Also after a call that raised an error.
            raise RuntimeError("start_response() was called again without exc_info")
        self.start_called = True
        if not isinstance(status, str):
            raise TypeError(f"response status is a str such as '200 OK', not {type(status).__name__}")
        if not isinstance(headers, list):
            raise TypeError(f"response headers are a list of (name, value), not {type(headers).__name__}")
        code, reason = gateway.parse_status(<str>status)
        self.check_final(code)
        self.prepared = self.prepare_response(self.encoder, code, <bytes>reason, headers, True, False, &facts)
        self.prepared_status = code
        self.facts = facts
        self.expected_length = facts.content_length
        return bind(WRITE, self)

    def write(self, data):
        """Sends a block of the body (PEP 3333, "The write() Callable").

        Raises TypeError if data is not bytes, ClientDisconnected (an OSError) after the client has disconnected.
        """
        if self.disconnected:
            raise ClientDisconnected
        self.send_block(data)

    def early_hints(self, headers):
        """`wsgi.early_hints`: sends a 103 with these (name, value) pairs of strings (RFC 8297).

        Raises TypeError or ValueError for pairs that cannot be sent, RuntimeError after the head of the response.
        """
        cdef WsgiExecutor executor = (<WsgiGateway>self.gateway).executor
        if self.head_taken:
            raise RuntimeError("early hints must be sent before the response head, which was sent already")
        pairs = []
        for name, value in headers:
            if not isinstance(name, str) or not isinstance(value, str):
                raise TypeError("early hints are (name, value) pairs of str")
            pairs.append((name.encode("latin-1"), value.encode("latin-1")))
        head = build_hints(self.encoder, pairs)
        if self.service.forked:
            return
        executor.lock()
        try:
            if self.out_hints is None:
                self.out_hints = []
            self.out_hints.append(head)
            executor.notify_outbox(self)
        finally:
            executor.unlock()

    cdef int send_result(self, object result) except -1:
        cdef object part
        if type(result) is list or type(result) is tuple:
            return self.send_sequence(result)
        if isinstance(result, FileWrapper):
            self.clip_block(b"")
            part = file_part(result) if (<WsgiGateway>self.gateway).sendfile else None
            if part is not None:
                return self.send_part(part)
        elif result is None or isinstance(result, (str, bytes, bytearray, memoryview)):
            raise TypeError(f"the application returned {type(result).__name__}, not an iterable of bytes")
        for block in result:
            self.send_block(block)
            if self.body_over and (self.disconnected or self.excess_reported or self.has_no_body(self.prepared_status)):
                break
        # An application may call start_response() as late as in the last step of its iterable. This checks that it has.
        self.clip_block(b"")
        return 0

    cdef int send_sequence(self, object blocks) except -1:
        """Sends a body whose length is known."""
        cdef long long size = 0
        cdef object block
        if len(blocks) != 1:
            for block in blocks:
                check_block(block)
                size += PyBytes_GET_SIZE(block)
            if size <= MAX_JOINED_BYTES:
                blocks = (b"".join(blocks),)
        else:
            block = blocks[0]
            check_block(block)
            size = PyBytes_GET_SIZE(block)
        self.declare_length(size)
        if size <= (<WsgiGateway>self.gateway).response_buffer and len(blocks) == 1:
            self.last_piece = self.clip_block(blocks[0])
        else:
            for block in blocks:
                self.send_block(block)
        return 0

    cdef int declare_length(self, long long size) except -1:
        """Declares the length of a whole body, unless the application has declared one."""
        if not self.head_taken and self.expected_length < 0:
            self.expected_length = self.out_length = size
        return 0

    cdef int send_part(self, object part) except -1:
        """Sends the rest of a file, at most as much as was declared."""
        cdef FileRange file = file_range(part[0], part[1], part[2])
        if self.body_over:
            return 0
        self.declare_length(file.left)
        if self.expected_length >= 0:
            file.left = min(file.left, self.expected_length - self.produced_bytes)
        self.produced_bytes += file.left
        self.last_piece = file
        return 0

    cdef int send_block(self, object block) except -1:
        """Sends one block of an iterable, or of one write()."""
        cdef bytes data = self.clip_block(block)
        cdef bint end
        if data is None or PyBytes_GET_SIZE(data) == 0:
            # An application may yield empty blocks while it waits. The loop over them ends if the client disconnects.
            self.body_over = self.body_over or self.disconnected
            return 0
        # The last declared byte ends the response, even if the application continues.
        end = self.has_no_body(self.prepared_status) or self.produced_bytes == self.expected_length
        if self.has_no_body(self.prepared_status):
            # The block may be only a part of the body, so its size must not become the Content-Length.
            data = b""
        self.send_piece(data, end)
        if end or self.disconnected:
            self.body_over = True
        return 0

    cdef bytes clip_block(self, object block):
        """Returns the block, cut to the declared length, or None if no more of the body is accepted."""
        cdef Py_ssize_t size
        cdef long long room
        check_block(block)
        if not self.prepared_status:
            raise RuntimeError("the application returned a body before it called start_response()")
        size = PyBytes_GET_SIZE(block)
        if self.expected_length >= 0 and not self.has_no_body(self.prepared_status):
            room = self.expected_length - self.produced_bytes
            if size > room and not self.disconnected:
                if not self.excess_reported:
                    self.excess_reported = True
                    self.report(
                        f"response body is longer than its content-length ({self.expected_length}); "
                        "the rest is dropped", None,
                    )
                size = <Py_ssize_t>room
                block = PyBytes_FromStringAndSize(PyBytes_AS_STRING(block), size)
        if self.body_over:
            return None
        self.produced_bytes += size
        return block if PyBytes_CheckExact(block) else PyBytes_FromStringAndSize(PyBytes_AS_STRING(block), size)

    cdef int send_piece(self, object piece, bint end) except -1:
        """Puts a piece into the outbox, then waits while too many bytes of the response are unsent."""
        cdef WsgiGateway gateway = <WsgiGateway>self.gateway
        cdef WsgiExecutor executor = gateway.executor
        cdef Py_ssize_t start = 0, size = PyBytes_GET_SIZE(piece)
        if self.service.forked:
            # In a forked child: the connection belongs to the parent.
            return 0
        executor.lock()
        try:
            while True:
                if end and size - start > gateway.response_buffer:
                    # The thread does not wait after the last piece, so all but the last response_buffer bytes are put
                    # into the outbox before.
                    self.put_piece(<bytes>piece[start:start + gateway.response_buffer], False)
                    start += gateway.response_buffer
                else:
                    self.put_piece(piece if start == 0 else <bytes>piece[start:], end)
                    start = size
                executor.notify_outbox(self)
                while self.unsent_bytes > gateway.response_buffer and not self.disconnected:
                    executor.wait_until_writable(self)
                if start == size or self.disconnected:
                    return 0
        finally:
            executor.unlock()

    cdef int put_piece(self, object piece, bint end) except -1:
        """Puts a piece into the outbox, after the head. The mutex is held."""
        if not self.head_taken:
            self.head_taken = True
            self.out_head = self.prepared
            self.prepared = None
        if piece is not None:
            if self.out_pieces is None:
                self.out_pieces = [piece]
            else:
                self.out_pieces.append(piece)
            if type(piece) is bytes:
                self.unsent_bytes += PyBytes_GET_SIZE(piece)
        self.out_end = end
        return 0

    cdef int put_last_piece(self) except -1:
        cdef object rest = self.last_piece
        self.last_piece = None
        if self.body_over:
            return 0
        self.body_over = True
        if (
            not self.failed and not self.disconnected and self.produced_bytes < self.expected_length
            and not self.has_no_body(self.prepared_status)
        ):
            self.failed = True
            self.report(
                f"response body is shorter than its content-length ({self.expected_length}): "
                f"{self.produced_bytes} bytes", None,
            )
        if self.failed:
            self.out_failed = True
            return 0
        return self.put_piece(rest, True)

    cdef int on_application_raised(self, object error) except -1:
        """Handles an exception of the application. Called once."""
        if self.service.forked:
            end_child(error)
        self.report_raised("exception in application", error)
        self.last_piece = None
        self.failed = not self.body_over
        return 0

    cdef int report_raised(self, str phrase, object error) except -1:
        """Logs an exception of the application, unless it only means that the client has disconnected."""
        try:
            if meaning_of(error) is not Meaning.DISCONNECT:
                self.report(phrase, error)
        except BaseException:
            # The methods of the application's exception may raise, too; the exchange has to end nevertheless.
            self.report(phrase, error)
        return 0


# The methods that an application is given, bound for each request.
cdef object START_RESPONSE = WsgiExchange.start_response
cdef object WRITE = WsgiExchange.write
cdef object EARLY_HINTS = WsgiExchange.early_hints


cdef int check_block(object block) except -1:
    if not PyBytes_Check(block):
        raise TypeError(f"response body is an iterable of bytes, not of {type(block).__name__}")
    return 0
