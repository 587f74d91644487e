"""One call of a WSGI application (PEP 3333).

Rules:
- A block is sent before the next one is requested ("Buffering and Streaming"). close() is always called.
- The call does not touch the connection. Its output is put into the outbox, whose base class it extends.

Compiled because every WSGI request passes here: 716 instructions for WSGI hello.
"""
cimport cython
import sys

from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.contextvars cimport PyContext_Copy, PyContext_Enter, PyContext_Exit
from cpython.object cimport PyObject

from ianus.codec.file_range cimport file_range
from ianus.exchange.http cimport check_final, detach_body, has_no_body, prepare_response, request_line
from ianus.exchange.response_head cimport ResponseFacts, build_hints
from ianus.gateway.wsgi.exchange cimport WsgiExchange
from ianus.gateway.wsgi.gateway cimport WsgiGateway
from ianus.gateway.wsgi.outbox cimport Outbox, check_block
from ianus.runtime.bound_method cimport bind
from ianus.runtime.object_pool cimport pool_objects
from ianus.runtime.vectorcall cimport PyVectorcall_NARGS, call_by_tuple, set_vectorcall

from io import BytesIO

from ianus.exchange.disconnect import ClientDisconnected, Meaning, meaning_of
from ianus.gateway.wsgi.file_wrapper import FileWrapper, file_part
from ianus.gateway.forked_child import end_child


# Not also `werkzeug.socket`: libraries then end a call as the development server of Werkzeug needs it, by an error.
cdef str SOCKET = sys.intern("gunicorn.socket")
cdef str HTTP_1_1 = sys.intern("1.1")   # the object of codec/http1/head


cdef WsgiCall new_call(WsgiExchange exchange):
    cdef WsgiCall call = WsgiCall.__new__(WsgiCall)
    cdef WsgiGateway gateway = <WsgiGateway>exchange.gateway
    # A cycle until the call has returned, or is abandoned.
    call.exchange = exchange
    call.gateway = gateway
    call.executor = gateway.executor
    call.limit = gateway.response_buffer
    call.vectorcall = <void*>call_start_response
    # Borrowed from the predictor's table, which lives as long as the gateway.
    call.evidence = gateway.predictor.evidence_of(exchange.request)
    return call


@cython.final
@cython.no_gc
cdef class WsgiCall(Outbox):
    """One call of the application, with its output."""

    # ---------------------------------------------------------------- from the thread pool

    cdef int run(self) except -1:
        # So that a context variable of one request is not seen by the next one in this thread.
        context = PyContext_Copy(self.gateway.context)
        PyContext_Enter(context)
        try:
            self.run_application()
        finally:
            PyContext_Exit(context)
        if self.gateway.unfinished_threads:
            # The unfinished line must not mix with that of the next request in this thread.
            self.gateway.errors.flush()
        if self.exchange.arriving_body is not None:
            self.exchange.arriving_body.close()
        if self.exchange.spool is not None:
            # The application has returned, so it reads the body no more.
            self.exchange.spool.close()
        return 0

    cdef int abandon(self) except -1:
        return self.exchange.end_call()

    cdef int send_output(
        self, list hints, object head, long long length, object pieces, bint end, bint failed, bint returned
    ) except -1:
        return self.exchange.send_output(self, hints, head, length, pieces, end, failed, returned)

    cdef int discard_output(self) except -1:
        Outbox.discard_output(self)
        if self.returned:
            # Unties the two objects, which refer to each other.
            self.exchange.outbox = None
            self.exchange.call_host = None
        return 0

    cdef int abort(self) except -1:
        return self.exchange.abort_response()

    cdef str description(self):
        return request_line(self.exchange)

    # ---------------------------------------------------------------- the application

    cdef int run_application(self) except -1:
        """Calls the application, sends its result, and closes it. Catches all its exceptions."""
        result = None
        try:
            result = self.gateway.app(self.environ(), self)
            self.send_result(result)
        except BaseException as error:
            self.on_application_raised(error)
        # In a child that the application has forked: it exits here, and sends nothing.
        if self.exchange.service.forked:
            end_child(None)
        # The usual result, which has no close().
        if type(result) is list:
            return 0
        try:
            # PEP 3333: it is called on completion, and also after an exception or a disconnect.
            close = getattr(result, "close", None)
            if close is not None:
                # The client does not have to wait for close().
                self.end_body()
                close()
        except BaseException as error:
            # close() may have forked, too.
            if self.exchange.service.forked:
                end_child(error)
            self.report_raised("close() of the application's response failed", error)
        if self.exchange.service.forked:
            end_child(None)
        return 0

    cdef dict environ(self):
        cdef dict environ
        cdef object body = None, hints = None
        if self.exchange.arriving_body is not None:
            # The connection's side forgets it when this call has returned.
            body = self.exchange.arriving_body.open()
        elif self.exchange.spool is not None:
            # The connection's side has written it, and does not write to it any more.
            body = self.exchange.spool.rewind()
        elif self.exchange.body is not None:
            # Complete: wsgi.input never blocks.
            body = BytesIO(detach_body(self.exchange))
        # RFC 9110 section 15.2: a client of HTTP/1.0 would take an interim response for the final one.
        if self.gateway.early_hints and (
            self.exchange.request.http_version is HTTP_1_1 or self.exchange.request.http_version == "2"
        ):
            hints = bind(EARLY_HINTS, self)
        environ = self.gateway.environs.make(self.exchange, body, self.exchange.body_size, hints)
        if self.exchange.application_socket is not None:
            environ[SOCKET] = self.exchange.application_socket
        return environ

    def __call__(self, *args, **kwargs):
        """This object is start_response(), and also the write() that it returns, which has one argument."""
        if self.start_called and len(args) + len(kwargs) == 1:
            return self.write(*args, **kwargs)
        return self.start_response(*args, **kwargs)

    def start_response(self, status, headers, exc_info=None):
        """PEP 3333, "The start_response() Callable". Returns write()."""
        if exc_info is not None:
            if not isinstance(exc_info, tuple) or len(exc_info) != 3:
                raise TypeError("exc_info must be a tuple as sys.exc_info() returns it")
            try:
                # PEP 3333: with exc_info, headers that were sent already raise the exception.
                if self.head_taken:
                    # The head was sent and cannot be replaced.
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                # Ends the cycle of the traceback and this frame, as PEP 3333 asks.
                exc_info = None
        elif self.start_called:
            # Also after a call that raised an error.
            raise RuntimeError("start_response() was called again without exc_info")
        self.start(status, headers)
        return self

    cdef int start(self, object status, object headers) except -1:
        cdef ResponseFacts facts
        cdef int code
        # Before the checks: after an invalid call only one with exc_info is valid.
        self.start_called = True
        if not isinstance(status, str):
            raise TypeError(f"response status is a str such as '200 OK', not {type(status).__name__}")
        if not isinstance(headers, list):
            raise TypeError(f"response headers are a list of (name, value), not {type(headers).__name__}")
        code, reason, _ = self.gateway.parse_status(<str>status)
        # PEP 3333 has no interim responses; early hints have their own call.
        check_final(code)
        # In this thread: a head that cannot be sent raises here, in the application.
        head = prepare_response(
            self.exchange, self.exchange.encoder, code, <bytes>reason, headers, True, False, &facts
        )
        return self.set_head(code, head, &facts, has_no_body(self.exchange.request, code))

    def write(self, data):
        """Sends a block of the body (PEP 3333, "The write() Callable").

        Raises TypeError if data is not bytes, ClientDisconnected (an OSError) after the client has disconnected.
        """
        if self.disconnected:
            raise ClientDisconnected
        # Waits while the client does not read.
        self.send_block(data)

    def early_hints(self, headers):
        """`wsgi.early_hints`: sends a 103 with these (name, value) pairs of strings (RFC 8297).

        Raises TypeError or ValueError for pairs that cannot be sent, RuntimeError after the head of the response.
        """
        # RFC 9110 section 15.2: interim responses precede the final one.
        if self.head_taken:
            raise RuntimeError("early hints must be sent before the response head, which was sent already")
        pairs = []
        for name, value in headers:
            if not isinstance(name, str) or not isinstance(value, str):
                raise TypeError("early hints are (name, value) pairs of str")
            pairs.append((name.encode("latin-1"), value.encode("latin-1")))
        head = build_hints(self.exchange.encoder, pairs)
        if not self.exchange.service.forked:
            self.put_hints(head)

    cdef int send_result(self, object result) except -1:
        cdef object part
        # All blocks are there, so that the length is known.
        if type(result) is list or type(result) is tuple:
            return self.send_sequence(result)
        if isinstance(result, FileWrapper):
            # Checks that start_response() was called, before the file is opened for sending.
            self.clip_block(b"")
            # None for an object that is not a file; then it is read like any iterable.
            part = file_part(result) if self.gateway.sendfile else None
            if part is not None:
                return self.keep_last_file(file_range(part[0], part[1], part[2]))
        # Iterating str or bytes would send single characters, which is never intended.
        elif result is None or isinstance(result, (str, bytes, bytearray, memoryview)):
            raise TypeError(f"the application returned {type(result).__name__}, not an iterable of bytes")
        for block in result:
            self.send_block(block)
            # Otherwise the iteration continues: an application may have code after its last block.
            if self.body_over and (self.disconnected or self.excess_reported or self.no_body):
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
                # One piece, which the connection sends together with the head.
                blocks = (b"".join(blocks),)
        else:
            block = blocks[0]
            check_block(block)
            size = PyBytes_GET_SIZE(block)
        # So that the response has a Content-Length.
        self.declare_length(size)
        if size <= self.limit and len(blocks) == 1:
            # Put when the call returns, so that the connection's side is notified once.
            self.keep_last_block(blocks[0])
        else:
            for block in blocks:
                self.send_block(block)
        return 0

    cdef int send_piece(self, object piece, bint end) except -1:
        # In a forked child, the connection belongs to the parent.
        return 0 if self.exchange.service.forked else Outbox.send_piece(self, piece, end)

    cdef int report(self, str event) except -1:
        return self.exchange.report(event, None)

    cdef int on_application_raised(self, object error) except -1:
        """Handles an exception of the application. Called once."""
        if self.exchange.service.forked:
            end_child(error)
        if self.exchange.application_socket is None or not self.is_expected(error):
            self.report_raised("exception in application", error)
        return self.fail()

    cdef bint is_expected(self, object error) except -1:
        """Whether an exception is the usual end of an application that has used the socket of its connection."""
        self.ended_silently = isinstance(error, StopIteration)
        # The socket raises it after the client has disconnected, and after the server has ended the conversation.
        return self.ended_silently or isinstance(error, ConnectionError) and (
            self.disconnected or self.exchange.response_complete
        )

    cdef int report_raised(self, str phrase, object error) except -1:
        """Logs an exception of the application, unless it only means that the client has disconnected."""
        try:
            if meaning_of(error) is not Meaning.DISCONNECT:
                self.exchange.report(phrase, error)
        except BaseException:
            # The methods of the application's exception may raise, too; the exchange has to end nevertheless.
            self.exchange.report(phrase, error)
        return 0


# Bound for each request that may use it.
cdef object EARLY_HINTS = WsgiCall.early_hints


# PEP 590. arguments: borrowed from the caller. names: those of keyword arguments, or NULL.

cdef object call_start_response(WsgiCall self, PyObject** arguments, size_t count, PyObject* names):
    if PyVectorcall_NARGS(count) == 2 and names == NULL and not self.start_called:
        self.start(<object>arguments[0], <object>arguments[1])
        return self
    return call_by_tuple(self, arguments, PyVectorcall_NARGS(count), names)


cdef int enable_vectorcall() except -1:
    cdef WsgiCall any = WsgiCall.__new__(WsgiCall)
    set_vectorcall(WsgiCall, <char*>&any.vectorcall - <char*><void*>any)
    return 0


enable_vectorcall()
pool_objects(WsgiCall)
