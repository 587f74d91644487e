"""The bodies of the requests of many streams: how much more of them the client may send, and until when.

The client may send more of a body as the application takes it, or as it is spooled or discarded. So a body that waits
is limited by the window of its stream.

Compiled because it handles every request over HTTP/2.
"""
cimport cython

from ianus.exchange.http cimport Exchange
from ianus.exchange.open_stream cimport OpenStream
from ianus.exchange.stream_events cimport StreamEvents
from ianus.exchange.tunnel cimport TunnelExchange
from ianus.runtime.clock cimport monotonic


@cython.no_gc
cdef class StreamInput(StreamEvents):
    cdef int reconsider(self, int stream) except -1:
        cdef OpenStream opened = self.stream_of(stream)
        if opened is None:
            return 0
        self.settle(opened)
        return self.transport.reconsider() if self.transport is not None else 0

    cdef int settle(self, OpenStream opened) except -1:
        """Gives credit for the bytes of the body that were used, and notes the deadline of the stream."""
        cdef Py_ssize_t used = opened.uncredited
        if self.transport is None:
            return 0
        if used and not opened.exchange.response_complete and not opened.over:
            used -= opened.exchange.untaken_bytes()
        if used > 0:
            opened.uncredited -= used
            self.streams.consume(opened.stream, used)
            # The frame is sent with the output of this turn.
            self.transport.resume_soon()
        return self.note_deadline(opened) if not opened.exchange.request_complete or opened.tunnel else 0

    cdef int cut_input(self, int stream) except -1:
        # response_complete() ends the input of the stream.
        return 0

    cdef int note_deadline(self, OpenStream opened) except -1:
        self.check_at = earlier(self.check_at, self.deadline_of(opened))
        return 0

    cdef double deadline_of(self, OpenStream opened) except -1:
        cdef Exchange exchange = opened.exchange
        if opened.over or opened.was_reset or exchange.session is None:
            return 0
        if exchange.tunnel:
            return (<TunnelExchange>exchange).tunnel_deadline()
        if exchange.stopped:
            return exchange.stop_deadline()
        # The client owes nothing, or its time does not count.
        if exchange.request_complete or exchange.awaits_continue or exchange.peer_finished:
            return 0
        if not exchange.accepts_body():
            return 0
        if self.streams.is_window_used():
            # Other bodies that are not taken perhaps keep this one from being sent, so its time starts again.
            exchange.body_since = exchange.body_last = monotonic()
            exchange.body_received = 0
        return self.service.body_deadline(
            exchange.body_since, exchange.body_last, exchange.body_received, exchange.awaits_body()
        )
