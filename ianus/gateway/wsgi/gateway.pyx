"""WSGI on top of exchanges (PEP 3333).

Facts: most requests have no body, and most responses are one block. Strategy: the head of a response is checked,
encoded and held back until the first block, and both leave together; a thread is spent on a request when its body is
complete, and not on slow readers.

Rules:
- What the application declared is what it delivers: too much is cut off, too little breaks the response.
- A block is sent before the next one is asked for ("Buffering and Streaming"). close() is always called.
- Of a connection, only its own side is touched; see wsgi.pxd.

Compiled because every WSGI request passes here.
"""
cimport cython
import contextvars
import sys

from cpython.bytes cimport (
    PyBytes_AS_STRING, PyBytes_Check, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE,
)
from cpython.contextvars cimport PyContext_Copy, PyContext_Enter, PyContext_Exit
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject

from ianus.codec.base cimport Request
from ianus.codec.fields cimport is_field_value
from ianus.codec.file_range cimport FileRange, file_range
from ianus.exchange.response_head cimport ResponseFacts, build_hints
from ianus.exchange.http cimport Exchange, Gateway
from ianus.gateway.wsgi.environ cimport Environs
from ianus.gateway.threads.predictor cimport Predictor
from ianus.runtime.clock cimport monotonic

from io import BytesIO

from ianus.codec.reasons import REASONS
from ianus.exchange.disconnect import ClientDisconnected, Meaning, meaning_of
from ianus.gateway.wsgi.error_stream import ErrorStream
from ianus.gateway.wsgi.file_wrapper import FileWrapper, file_part
from ianus.gateway.forked_child import end_child
from ianus.gateway.wsgi.spool import SpoolError
from ianus.telemetry.logger import logger


cdef enum:
    MAX_JOINED_BYTES = 65536      # bytes of several blocks that are joined to one
    MAX_STATUSES = 256      # status strings that are remembered


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


cdef class WsgiGateway(Gateway):
    """Runs requests in a WSGI application.

    app: the application; name: its name, for messages. executor: the threads that call it.
    root_path: the prefix that a proxy adds to all paths; root_path_kept: received paths start with it, because no proxy
    has removed it. mount: the path prefix of this application.
    multithread, multiprocess: for the environ.
    request_buffer: maximum bytes of a request body in memory; spool: the temporary files for bigger ones.
    response_buffer: bytes of a response that may wait for a slow client; above it, the application's thread waits.
    sendfile: the kernel sends the files of wsgi.file_wrapper. early_hints: offer wsgi.early_hints.
    keep_underscores: field names with an underscore are put into the environ, in which they look like those with a
    hyphen.
    """

    def __init__(
        self, app not None, *, WsgiExecutor executor not None, str name="application", str root_path="",
        bint root_path_kept=False, str mount="", bint multithread=True, bint multiprocess=False,
        Py_ssize_t request_buffer=262144, Py_ssize_t response_buffer=1048576, spool not None,
        bint sendfile=True, bint early_hints=False, bint keep_underscores=False,
    ):
        self.app = app
        self.executor = executor
        self.name = name
        self.predictor = Predictor()
        # Of what the application set in its context while it was loaded, each call sees a copy.
        self.context = contextvars.copy_context()
        self.request_buffer = request_buffer
        # Big pieces are cut into as much.
        self.response_buffer = max(response_buffer, <Py_ssize_t>MAX_JOINED_BYTES)
        self.spool = spool
        self.sendfile = sendfile
        self.early_hints = early_hints
        self.parsed_statuses = {}
        self.errors = ErrorStream()
        self.environs = Environs(
            script_name=root_path + mount, prefix=(root_path if root_path_kept else "") + mount, errors=self.errors,
            multithread=multithread, multiprocess=multiprocess, keep_underscores=keep_underscores,
        )

    cdef Exchange open(self, Request request):
        cdef WsgiExchange exchange = WsgiExchange.__new__(WsgiExchange)
        exchange.gateway = self
        exchange.direct = True
        return exchange

    cdef tuple parse_status(self, str status):
        """(code, reason phrase) of '200 OK'; None for the registered phrase."""
        cdef PyObject* found = PyDict_GetItemWithError(self.parsed_statuses, status)
        cdef str code
        cdef bytes reason
        if found != NULL:
            return <tuple>found
        code = status[:3]
        if len(code) != 3 or not code.isascii() or not code.isdigit() or status[3:4] not in ("", " "):
            raise ValueError(f"response status {status!r} is not three digits, a space and a reason phrase")
        reason = status[4:].encode("latin-1")
        if not is_field_value(PyBytes_AS_STRING(reason), PyBytes_GET_SIZE(reason)):
            raise ValueError(f"response status {status!r} has a control character")
        if not reason or REASONS.get(int(code)) == status[4:]:
            reason = None
        parsed = (int(code), reason)
        if len(self.parsed_statuses) < MAX_STATUSES:
            self.parsed_statuses[status] = parsed
        return parsed


@cython.no_gc
cdef class WsgiExchange(Exchange):
    """One request and its call of the application."""

    def __cinit__(self):
        self.out_length = -1
        self.expected_length = -1

    # ---------------------------------------------------------------- the connection's side: the request

    cdef bint start(self) except -1:
        cdef WsgiGateway gateway = <WsgiGateway>self.gateway
        self.codec = self.session.codec
        self.server = self.session.transport.server
        gateway.environs.learn_server(self.server)
        self.evidence = gateway.predictor.evidence_of(self.request)
        self.into_flight()
        self.in_flight = True
        # No thread is spent before the body is there.
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
                # A codec is on the stack: it is answered behind it.
                self.spool_error = str(error)
                self.news = True
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
            # Who left while waiting for a thread keeps no room from others meanwhile.
            return 0 if dequeued else self.remove_from_flight()
        if self.disconnected or self.response_complete:
            return self.remove_from_flight()
        if not self.in_flight:
            return 0
        if self.spool_error is not None:
            logger.error("%s Answered 503: %s", self.spool_error, self.request_line())
            return self.answer(503, "no room for the request's body", [(b"retry-after", b"5")], True)
        if self.request_complete:
            self.submitted = True
            return executor.submit(self)
        if self.peer_finished:
            # The body can never be complete, so the application never hears of it.
            return self.break_off()
        return 0

    cdef int remove_from_flight(self) except -1:
        """The request is in flight no more."""
        if self.in_flight:
            self.in_flight = False
            self.out_of_flight()
        if self.spool is not None:
            if not self.service.forked:
                # Its lock may have been held by a thread of the parent's.
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
            self.known = self.out_length
        self.out_hints = self.out_pieces = None
        self.out_head = None
        self.out_end = self.out_failed = self.out_returned = self.posted = False
        executor.unlock_shared()
        # A connection's next request waits until this call has returned: at k connections there are never more calls.
        self.holds = not returned
        try:
            if self.session is not None and not self.held:
                self.send_collected(hints, head, pieces, end, failed)
            if returned and self.held and self.session is not None:
                self.complete()
        finally:
            if returned:
                self.remove_from_flight()
            self.notify_writable()
        return 0

    cdef int send_collected(self, list hints, object head, list pieces, bint end, bint failed) except -1:
        """Sends what was collected. The session may go meanwhile: the client has left, or the response is complete."""
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
        return self.fail() if failed else 0

    cdef int discard_outbox(self) except -1:
        """Lets go of what is in the outbox; there is nobody any more to collect it."""
        self.out_hints = self.out_pieces = None
        self.out_head = None
        self.unsent_bytes = 0
        return 0

    cdef int notify_writable(self) except -1:
        """The client has read on, or has left: what waits is less, and so is the thread's reason to wait."""
        cdef WsgiExecutor executor = (<WsgiGateway>self.gateway).executor
        cdef Py_ssize_t unsent = 0
        if self.service.forked:
            # Whoever had the lock when the application forked does not exist here.
            return 0
        if self.session is not None and self.session.codec.out is not None:
            unsent = self.session.codec.out.size
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
            # The next request in this thread is another one.
            gateway.errors.flush()
        if self.spool is not None:
            self.spool.close()
        return 0

    cdef int run_application(self) except -1:
        """Calls the application, sends what it gives, and closes that. Nothing that it raises passes."""
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
                    # What the application does in close() is not the client's to wait for.
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
        # RFC 9110 section 15.2: a client of 1.0 would take interim responses for the response.
        if (<WsgiGateway>self.gateway).early_hints and self.request.http_version is HTTP_1_1:
            hints = bind(EARLY_HINTS, self)
        return (<WsgiGateway>self.gateway).environs.make(self, self.server, body, self.body_size, hints)

    def start_response(self, status, headers, exc_info=None):
        """PEP 3333, "The start_response() Callable". Returns write()."""
        cdef WsgiGateway gateway = <WsgiGateway>self.gateway
        cdef ResponseFacts facts
        cdef int code
        if exc_info is not None:
            if not isinstance(exc_info, tuple) or len(exc_info) != 3:
                raise TypeError("exc_info is what sys.exc_info() returns")
            try:
                if self.head_taken:
                    # The head has left: nothing can be put in its place.
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.start_called:
            # Also behind a call that raised an error.
            raise RuntimeError("start_response() was called again without exc_info")
        self.start_called = True
        if not isinstance(status, str):
            raise TypeError(f"response status is a str such as '200 OK', not {type(status).__name__}")
        if not isinstance(headers, list):
            raise TypeError(f"response headers are a list of (name, value), not {type(headers).__name__}")
        code, reason = gateway.parse_status(<str>status)
        self.check_final(code)
        self.prepared = self.prepare_response(self.codec, code, <bytes>reason, headers, True, False, &facts)
        self.prepared_status = code
        self.facts = facts
        self.expected_length = facts.content_length
        return bind(WRITE, self)

    def write(self, data):
        """Sends a block of the body (PEP 3333, "The write() Callable").

        Raises TypeError for what is not bytes, ClientDisconnected, an OSError, when nobody can be reached.
        """
        if self.disconnected:
            raise ClientDisconnected
        self.send_block(data)

    def early_hints(self, headers):
        """`wsgi.early_hints`: sends a 103 with these (name, value) pairs of strings (RFC 8297).

        Raises TypeError or ValueError for pairs that cannot be sent, RuntimeError behind the response's head.
        """
        cdef WsgiExecutor executor = (<WsgiGateway>self.gateway).executor
        if self.head_taken:
            raise RuntimeError("early hints come before the response head, which has left")
        pairs = []
        for name, value in headers:
            if not isinstance(name, str) or not isinstance(value, str):
                raise TypeError("early hints are (name, value) pairs of str")
            pairs.append((name.encode("latin-1"), value.encode("latin-1")))
        head = build_hints(self.codec, pairs)
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
        # An application may call start_response() as late as in the last step of its iterable.
        self.clip_block(b"")
        return 0

    cdef int send_sequence(self, object blocks) except -1:
        """A body whose length is known."""
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
        """The whole body is there: its length is declared, if that was not done."""
        if not self.head_taken and self.expected_length < 0:
            self.expected_length = self.out_length = size
        return 0

    cdef int send_part(self, object part) except -1:
        """What is left of a file, or what of it was declared."""
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
        """One block of an iterable, or one write()."""
        cdef bytes data = self.clip_block(block)
        cdef bint end
        if data is None or PyBytes_GET_SIZE(data) == 0:
            # Who waits for something in this way learns that nobody waits with it.
            self.body_over = self.body_over or self.disconnected
            return 0
        # Its last byte ends the response, whatever the application still does.
        end = self.has_no_body(self.prepared_status) or self.produced_bytes == self.expected_length
        if self.has_no_body(self.prepared_status):
            # This block may not be all of the body, whose length its size would be taken for.
            data = b""
        self.send_piece(data, end)
        if end or self.disconnected:
            self.body_over = True
        return 0

    cdef bytes clip_block(self, object block):
        """The block, or as much of it as was declared; None when nobody takes it."""
        cdef Py_ssize_t size
        cdef long long room
        check_block(block)
        if not self.prepared_status:
            raise RuntimeError("the application gave a body before it called start_response()")
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
        """Hands a piece over, then waits while too much of the response waits for the client."""
        cdef WsgiGateway gateway = <WsgiGateway>self.gateway
        cdef WsgiExecutor executor = gateway.executor
        cdef Py_ssize_t start = 0, size = PyBytes_GET_SIZE(piece)
        if self.service.forked:
            # The connection is the parent's.
            return 0
        executor.lock()
        try:
            while True:
                if end and size - start > gateway.response_buffer:
                    # Behind the end nobody waits, so what is too big for that goes before.
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
        """Into the outbox, with the head before it; the lock is held."""
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
                f"response body has {self.produced_bytes} bytes, its content-length says {self.expected_length}", None
            )
        if self.failed:
            self.out_failed = True
            return 0
        return self.put_piece(rest, True)

    cdef int on_application_raised(self, object error) except -1:
        """The application has raised; called once."""
        if self.service.forked:
            end_child(error)
        self.report_raised("exception in application", error)
        self.last_piece = None
        self.failed = not self.body_over
        return 0

    cdef int report_raised(self, str phrase, object error) except -1:
        """Logs an exception of the application, unless it only means that the client has left."""
        try:
            if meaning_of(error) is not Meaning.DISCONNECT:
                self.report(phrase, error)
        except BaseException:
            # The exception is the application's and may do anything; its exchange has to end all the same.
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
