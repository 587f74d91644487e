"""ASGI's HTTP messages on top of an exchange (ASGI HTTP spec version 2.3). Scopes are in gateway/asgi/scope.

Compiled because every request passes here: 465 instructions for ASGI hello.
"""
cimport cython

import asyncio

from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Copy
from cpython.unicode cimport PyUnicode_1BYTE_DATA, PyUnicode_1BYTE_KIND, PyUnicode_GET_LENGTH, PyUnicode_KIND
from libc.string cimport memcmp

from ianus.codec.file_range cimport FileRange, file_range
from ianus.exchange.http cimport new_response, request_line
from ianus.exchange.response_head cimport build_hints
from ianus.gateway.asgi.exchange cimport AsgiExchange, body_of
from ianus.gateway.asgi.gateway cimport AsgiGateway
from ianus.gateway.asgi.messages cimport Message, read_message, required, search_message, unexpected
from ianus.gateway.asgi.scope cimport Scopes
from ianus.runtime.clock cimport monotonic
from ianus.runtime.object_pool cimport pool_objects

from ianus.gateway.asgi.discarding import DiscardedSends
from ianus.gateway.files import open_whole, part_of
from ianus.telemetry.logger import logger


# Seconds between the return of a send() that waited for a client that has disconnected, and the http.disconnect for
# another task, which will probably cancel the sender. The sender should then wait for something of its own, or its
# generator would be abandoned without its `finally`. Several middlewares take a few iterations of the loop for this.
cdef double SENDERS_FIRST_SECONDS = 0.02
# Seconds in which an event stream has to call receive() when the server stops; then its response is ended.
cdef double STOP_NOTICE_SECONDS = 0.5


@cython.no_gc
cdef class AsgiHttpExchange(AsgiExchange):
    """One HTTP request in its application."""

    cdef dict scope(self):
        cdef Scopes scopes = (<AsgiGateway>self.gateway).scopes
        self.parts = scopes.acquire()
        return scopes.make(self, self.parts)

    def __dealloc__(self):
        # The application may have kept its scope, which release() notices.
        if self.parts is not None:
            (<AsgiGateway>self.gateway).scopes.release(self.parts)

    # ---------------------------------------------------------------- receive

    cdef dict next_message(self):
        """Returns the next message, or None if the application has to wait for it."""
        if self.response_complete or self.disconnected:
            return self.disconnect_message()
        # Bytes that have arrived are delivered, also if the client has finished since.
        if self.buffered:
            self.end_received = self.request_complete
            return {"type": "http.request", "body": self.take_body(), "more_body": not self.request_complete}
        if not self.request_complete:
            # The rest of the body will never arrive.
            if self.peer_finished:
                return self.disconnect_message()
            self.want_body()
            # Sending 100 may have shown that the client has disconnected. A future made after that is never woken.
            return self.disconnect_message() if self.disconnected else None
        # A request without a body, or one whose last bytes were taken before its end was known.
        if not self.end_received:
            self.end_received = True
            return {"type": "http.request", "body": b"", "more_body": False}
        return self.disconnect_message() if self.peer_finished else None

    cdef dict disconnect_message(self):
        # The application knows: from here on its end is not an error.
        self.disconnect_received = True
        return {"type": "http.disconnect"}

    cdef dict stop_message(self):
        """Returns http.disconnect for a receive() that would wait while the server stops, or None to keep waiting."""
        if not self.stopped and not self.status and self.request_complete:
            # The application waits only for its client.
            # In another task it may be a listener for a disconnect, which frameworks start for each request.
            self.stopped = asyncio.current_task((<AsgiGateway>self.gateway).loop) is self.task
        return self.disconnect_message() if self.stopped else None

    cdef bint is_long_poll(self) except -1:
        """Returns whether the task of the request waits in receive() and has not answered: a long poll.

        A receive() of another task does not count: frameworks keep one for each request.
        """
        if self.status or not self.request_complete or not self.awaits_body() or self.task is None:
            return False
        # The one place that shows for which future a task waits. asyncio's Task in C and in Python have it.
        return self.readers.has(getattr(self.task, "_fut_waiter", None))

    cdef int drain(self) except -1:
        AsgiExchange.drain(self)
        if self.service.ends_streams and not self.stopped and self.is_long_poll():
            self.stop_stream()
        return 0

    cdef int stop_stream(self) except -1:
        # The application ends its stream, if it calls receive(); otherwise stop_deadline() does.
        self.stopped = True
        # The time of the notice. The deadline of a body, for which the field is otherwise, does not count any more.
        self.body_since = monotonic()
        self.wake_readers()
        return 0

    cdef double stop_deadline(self) noexcept:
        return 0 if self.disconnect_received else self.body_since + STOP_NOTICE_SECONDS

    cdef bint notify_readable(self) except -1:
        if self.senders_first:
            # The order in which an application sees a disconnect: first send(), later receive().
            self.senders_first = False
            (<AsgiGateway>self.gateway).loop.call_later(SENDERS_FIRST_SECONDS, self.wake_readers_later)
            return False
        return self.wake_readers()

    def wake_readers_later(self) -> None:
        """Wakes all receive() calls that wait."""
        self.wake_readers()

    # ---------------------------------------------------------------- send

    cdef int handle_message(self, object message) except -1:
        """Acts on one message from the application."""
        cdef object body, status, headers
        cdef str kind
        cdef bint more
        cdef Message m
        # file_is_last: the end of the response waits for a file, and nothing can follow.
        if self.response_complete or self.file_is_last:
            # ASGI HTTP: further messages are ignored.
            return 0
        if type(message) is not dict:
            # A mapping of the application's own type; the copy cannot change meanwhile.
            message = dict(message)
        if not read_message(<dict>message, &m):
            # Comparing keys that are not plain strings may run code that changes the message, whose values `m` borrows.
            message = PyDict_Copy(<dict>message)
            search_message(<dict>message, &m)
        if m.kind == NULL or not isinstance(<object>m.kind, str):
            raise ValueError("ASGI message has no 'type' string")
        kind = <str>m.kind
        # No response has started.
        if not self.status:
            if not has_text(kind, b"http.response.start", 19):
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
        if not has_text(kind, b"http.response.body", 18) or self.response.body_complete:
            return self.handle_extension(kind, <dict>message)
        body = b"" if m.body == NULL else <object>m.body
        more = m.more_body != NULL and bool(<object>m.more_body)
        # bytes() runs after the last use of a borrowed value.
        body = body_of(body)
        # Counted before it is sent, for the next time that the application lets the loop run.
        self.produced_bytes += PyBytes_GET_SIZE(body)
        if self.disconnect_received and not more and self.is_short(PyBytes_GET_SIZE(body)):
            # The application has received http.disconnect and ends its response for that reason.
            return self.abort_response()
        return self.response.send_body(self, <bytes>body, more)

    cdef bint is_short(self, Py_ssize_t size) noexcept:
        """Returns whether the body is shorter than the application has declared, if its last piece has `size` bytes."""
        return not self.response.no_body and self.bytes_sent + size < self.response.declared_length

    cdef int handle_extension(self, str kind, dict message) except -1:
        """Acts on a message of an extension, after http.response.start."""
        cdef FileRange part
        cdef bint more
        if self.response.is_event_stream and self.service.draining and kind == "http.response.start":
            # The package mcp starts a second response after its stream was ended by the stop.
            return self.end_stopped()
        if self.response.body_complete:
            if kind != "http.response.trailers":
                raise unexpected(kind, "http.response.trailers")
            return self.response.send_trailers(
                self, message.get("headers", ()), bool(message.get("more_trailers"))
            )
        if kind == "http.response.zerocopysend":
            # A copy of the descriptor, which the FileRange owns from the next line on.
            fd, offset, count = part_of(required(message, "file"), message.get("offset"), message.get("count"))
            part = file_range(fd, offset, count)
            # May run code of the application. `part` closes its descriptor if it raises.
            more = bool(message.get("more_body"))
            self.produced_bytes += part.left
            self.response.send_file(self, part, more, True)
            # Set only after send_file() has accepted the file: send() does not wait for a refused one.
            self.file = part
            self.file_is_last = not more
            return 0
        if kind == "http.response.pathsend":
            # The file is the whole body.
            if self.bytes_sent:
                raise RuntimeError("http.response.pathsend cannot follow other pieces of the body")
            # Opened by the server, and owned by the FileRange below.
            fd, count = open_whole(required(message, "path"))
            if 0 <= self.response.declared_length < count:
                # The file has grown since the application read its size.
                count = self.response.declared_length
            return self.response.send_file(self, file_range(fd, 0, count), False, False)
        if kind == "http.response.early_hint":
            return self.send_links(required(message, "links"))
        raise unexpected(kind, "http.response.body")

    cdef int send_links(self, object links) except -1:
        # Checked in any case, so that a mistake shows without a proxy that supports hints.
        head = build_hints(self.session.encoder(), [(b"link", link) for link in links])
        if not (<AsgiGateway>self.gateway).early_hints:
            # Without the extension, invalid links raise an error, but valid ones are not sent.
            return 0
        if self.response is None:
            self.response = new_response()
        return self.response.send_hints(self, head)

    cdef bint needs_file(self) except -1:
        """Returns whether a file of zerocopysend is not sent completely. The end of the response waits for that."""
        if self.file is None:
            return False
        if self.disconnected:
            # Perhaps this very send() has shown it. A future made after that is never woken.
            self.file = None
            return False
        if self.file.left and not self.response.no_body:
            return True
        self.file = None
        # The last byte was taken by the kernel: only now send() returns, and the application may change the file.
        if self.file_is_last:
            self.file_is_last = False
            self.response.piece_sent(self, False)
        return False

    cdef int notify_writable(self) except -1:
        # Both wait, perhaps in two tasks of which one cancels the other.
        if self.wake_writers() and self.disconnected and self.awaits_body():
            self.senders_first = True
        return 0

    cdef object discard(self, object message):
        """Discards a message after a disconnect. Returns None, or an iterator that send() has to finish first."""
        cdef AsgiGateway gateway = <AsgiGateway>self.gateway
        # Made at the first message after the disconnect.
        if self.discarded_sends is None:
            finite = self.response is not None and self.response.declared_length >= 0
            self.discarded_sends = DiscardedSends(gateway.discarding_turn, finite=finite)
        return self.discarded_sends.send(
            message, in_request_task=asyncio.current_task(gateway.loop) is self.task, stopping=self.stopped
        )

    cdef int on_client_lost(self) except -1:
        """Handles a disconnect while send() waited. Before spec version 2.4 that is not an error."""
        return 0

    # ---------------------------------------------------------------- the end

    cdef bint application_returned(self) except -1:
        self.application_ended()
        # Nothing is left to send.
        if self.response_complete or self.disconnected:
            return self.service.forked
        # It has ended because of the stop, so that is not a mistake.
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
        if self.response.is_event_stream:
            return self.end_events()
        logger.info("response ended early, the server is stopping: %s", request_line(self))
        return self.abort_response()

    cdef int end_failed(self) except -1:
        """Ends the response of a call that has raised."""
        if not self.response_complete and not self.disconnected:
            # Frameworks turn http.disconnect into exceptions and cancellations.
            return self.end_stopped() if self.stopped else self.fail_with_500()
        return 0


cdef inline bint has_text(str kind, const char* text, Py_ssize_t size) noexcept:
    """Whether a string has this ASCII text: `==` takes three times as many instructions."""
    return (
        PyUnicode_GET_LENGTH(kind) == size and PyUnicode_KIND(kind) == PyUnicode_1BYTE_KIND
        and memcmp(<const char*>PyUnicode_1BYTE_DATA(kind), text, size) == 0
    )


pool_objects(AsgiHttpExchange)
