"""The events of a connection of many streams: the reports of its codec, noted for the session.

Sink calls only note events, since the codec is on the stack. The session acts on them later.

Compiled because it handles every request over HTTP/2.
"""
cimport cython

from ianus.codec.base cimport ErrorCode, Request
from ianus.exchange.http cimport Exchange
from ianus.exchange.http_session cimport HttpSession
from ianus.exchange.open_stream cimport OpenStream, open_stream
from ianus.exchange.tunnel cimport TunnelExchange
from ianus.runtime.clock cimport monotonic


@cython.no_gc
cdef class StreamEvents(HttpSession):
    cdef OpenStream stream_of(self, int stream):
        """Returns the stream, or None after its end."""
        return <OpenStream>self.streams.owner(stream)

    cdef int on_request(self, int stream, Request request) except -1:
        cdef double started = 0
        cdef OpenStream opened
        cdef Exchange exchange
        if self.service.observer is not None or self.service.measures_queue_time:
            started = monotonic()
        exchange = self.open_exchange(stream, request, started, 0)
        exchange.call_host = self
        if request.content_length == 0:
            # Its body is empty, but may end later than its head.
            exchange.body_since = exchange.body_last = self.streams.now
        opened = open_stream(stream, exchange)
        self.streams.set_owner(stream, opened)
        opened.unstarted = True
        if request.protocol is not None:
            # RFC 8441 section 4: DATA frames are the tunnel's, so the request has no body.
            opened.is_connect = True
            exchange.request_ended()
            # RFC 9220 section 3 has the status for an unknown protocol.
            if request.protocol != "websocket":
                opened.error_status = 501
                opened.error_reason = "protocol of the tunnel other than websocket"
            elif not exchange.gateway.opens_tunnels:
                opened.error_status = 501
                opened.error_reason = "WebSocket over HTTP/2 to an application that cannot accept one"
        return self.note(opened)

    cdef int on_body(self, int stream, const char* data, Py_ssize_t size) except -1:
        cdef OpenStream opened = self.stream_of(stream)
        if opened is None:
            return self.streams.consume(stream, size)
        opened.uncredited += size
        opened.exchange.body_arrived(data, size)
        return self.note(opened)

    cdef int on_end(self, int stream) except -1:
        cdef OpenStream opened = self.stream_of(stream)
        if opened is None:
            return 0
        opened.input_ended = True
        if not opened.is_connect:
            opened.exchange.request_ended()
        else:
            # As the end of the connection is over HTTP/1.
            opened.exchange.peer_finished = True
            opened.exchange.has_unread_input = True
        return self.note(opened)

    cdef Py_ssize_t on_tunnel(self, int stream, const char* data, Py_ssize_t size) except -1:
        cdef OpenStream opened = self.stream_of(stream)
        cdef Exchange exchange
        # After the end of the tunnel, further input is discarded.
        if opened is None or opened.over or opened.exchange.response_complete:
            return size
        exchange = opened.exchange
        # It starts with the application's acceptance. Its bytes wait in the codec if it takes none.
        if not exchange.tunnel or not exchange.accepts_body():
            return 0
        self.note(opened)
        return (<TunnelExchange>exchange).tunnel_received(data, size)

    cdef int on_stream_error(self, int stream, int status, str reason, Request request) except -1:
        cdef OpenStream opened = self.stream_of(stream)
        cdef Exchange exchange
        if opened is None:
            # Only for the response and the observer: it is never started.
            exchange = Exchange.__new__(Exchange)
            exchange.session = self
            exchange.service = self.service
            exchange.gateway = self.factory.gateway
            exchange.request = request if request is not None else no_request()
            exchange.connection = self.reported(request)
            exchange.stream = stream
            exchange.started = monotonic()
            exchange.request_complete = True
            opened = open_stream(stream, exchange)
            self.streams.set_owner(stream, opened)
        # The codec discards the rest of the request.
        opened.input_ended = True
        opened.error_status = status
        opened.error_reason = reason
        return self.note(opened)

    cdef int on_reset(self, int stream, ErrorCode code, str reason) except -1:
        cdef OpenStream opened = self.stream_of(stream)
        if opened is None:
            return 0
        opened.was_reset = opened.input_ended = True
        opened.dropped = self.streams.queued(stream)
        opened.error_reason = reason
        return self.note(opened)

    cdef int on_stream_writable(self, int stream) except -1:
        cdef OpenStream opened = self.stream_of(stream)
        if opened is not None and not opened.is_writable:
            opened.is_writable = True
            self.writable.append(opened)
        return 0

    cdef int on_stream_sent(self, int stream) except -1:
        cdef OpenStream opened = self.stream_of(stream)
        if opened is None:
            return 0
        # The position is that of now.
        self.note_end(opened.exchange)
        opened.sent = True
        # Otherwise the exchange is within the call that ends its response.
        if opened.exchange.response_complete:
            self.sent.append(opened)
        return 0

    cdef int on_connection_error(self, ErrorCode code, str reason) except -1:
        self.failure = code
        self.failure_reason = reason
        return 0

    cdef int on_goaway(self, ErrorCode code) except -1:
        # on_drained() follows after the last stream.
        return 0

    cdef int on_drained(self) except -1:
        self.drained = True
        return 0

    cdef int note(self, OpenStream opened) except -1:
        if not opened.noted:
            opened.noted = True
            self.noted.append(opened)
        return 0

    cdef int defer(self, OpenStream opened) except -1:
        if not opened.deferred:
            opened.deferred = True
            self.deferred.append(opened)
        return 0


cdef Request no_request():
    """The request of a client that did not send a valid head."""
    cdef Request request = Request.__new__(Request)
    request.headers = []
    return request
