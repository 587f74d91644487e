"""The output of many streams, and the ends of streams and of their connection.

The codec queues the output of streams, and moves it into that of the connection by their priorities and windows. A
stream is released when its response has ended and the call of its application has returned, also after a reset.

Compiled because it handles every request over HTTP/2.
"""
cimport cython

from ianus.codec.base cimport INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, FRAMING_TUNNEL, Framing
from ianus.codec.file_range cimport FileRange
from ianus.codec.output cimport Output
from ianus.exchange.http cimport GATHER_BYTES, HIGH_WATER, Exchange
from ianus.exchange.in_flight_counter cimport NOT_COUNTED
from ianus.exchange.open_stream cimport OpenStream
from ianus.exchange.stream_input cimport StreamInput
from ianus.runtime.clock cimport monotonic, monotonic_coarse


@cython.no_gc
cdef class StreamOutput(StreamInput):
    cdef int send_head(self, int stream, object head, Framing framing, long long length, bint close) except -1:
        cdef OpenStream opened = self.stream_of(stream)
        if opened is not None:
            opened.tunnel = framing == FRAMING_TUNNEL
            if close and ends_connection(opened):
                # RFC 9113 section 8.2.2: in place of the field Connection.
                self.start_drain()
        return self.codec.send_head(stream, head, framing, length, False)

    # The codec notes the time at which output starts to wait for a window.
    cdef int send_body(self, int stream, bytes data) except -1:
        self.streams.now = monotonic_coarse()
        return self.codec.send_body(stream, data)

    cdef int send_data(self, int stream, const char* data, Py_ssize_t size) except -1:
        self.streams.now = monotonic_coarse()
        return self.codec.send_data(stream, data, size)

    cdef int send_end(self, int stream) except -1:
        self.streams.now = monotonic_coarse()
        return self.codec.send_end(stream)

    cdef int send_file(self, int stream, FileRange file) except -1:
        cdef OpenStream opened = self.stream_of(stream)
        self.streams.now = monotonic_coarse()
        if opened is not None and opened not in self.senders:
            # Its application waits for the last byte, and not for the low watermark alone.
            self.senders.append(opened)
        return self.codec.send_file(stream, file)

    cdef int output_queued(self, int stream, bint at_once) except -1:
        cdef Output out
        cdef int stalled
        # A blocked connection is watched for WRITABLE, and sends then.
        if self.transport is None or self.transport.blocked:
            return 0
        if self.starts_streams() and not at_once:
            # After these applications, their output is sent by priority.
            return self.transport.resume_soon()
        if self.streams.has_queued():
            self.fill()
        out = self.transport.out
        if out is not None and not at_once and out.size < GATHER_BYTES:
            return self.transport.resume_soon()
        if out is not None:
            self.transport.flush()
        # Output that waits for a window has a deadline, even if none of it was sent.
        if self.transport is not None and self.streams.stalled_since(&stalled):
            return self.transport.reconsider()
        return 0

    cdef bint starts_streams(self) noexcept:
        """Whether applications start in this turn. flush_deferred() follows then, with the output of all of them."""
        return self.scheduled or self.next_noted > 0

    cdef int fill_if_possible(self) except -1:
        if self.transport is None or self.transport.blocked or self.starts_streams() or not self.streams.has_queued():
            return 0
        return self.fill()

    cdef int fill(self) except -1:
        """Moves output of streams into that of the connection."""
        self.streams.now = monotonic_coarse()
        if not self.unsent_limited:
            self.unsent_limited = True
            self.transport.limit_unsent()
        # A slow client gets it in small parts, so that a stream of a higher priority need not wait for them.
        self.streams.fill(HIGH_WATER if self.transport.blocked else GATHER_BYTES)
        if self.senders:
            self.note_sent_files()
        self.run_output_events()
        if self.noted and self.transport is not None:
            # A stream has failed: perhaps nothing else leads to run().
            return self.transport.resume_soon()
        return 0

    cdef int note_sent_files(self) except -1:
        """Notes the streams whose queued files were read to their end."""
        cdef list senders = self.senders
        cdef OpenStream opened
        self.senders = []
        for opened in senders:
            if self.streams.queued(opened.stream):
                self.senders.append(opened)
            else:
                self.on_stream_writable(opened.stream)
        return 0

    cdef int run_output_events(self) except -1:
        cdef list opened_streams
        cdef OpenStream opened
        while self.writable or self.sent:
            # Taken first: the calls may add to the lists.
            opened_streams = self.writable
            self.writable = []
            for opened in opened_streams:
                opened.is_writable = False
                if not opened.over and opened.exchange.session is not None:
                    opened.exchange.notify_writable()
            opened_streams = self.sent
            self.sent = []
            for opened in opened_streams:
                self.end_stream(opened)
        return 0

    cdef bint blocked(self, int stream) noexcept:
        return self.transport.blocked or self.streams.queued(stream) > 0

    cdef bint congested(self, int stream) noexcept:
        return self.streams.queued(stream) > HIGH_WATER

    cdef Py_ssize_t unsent(self, int stream) noexcept:
        return self.streams.queued(stream)

    cdef long long position(self, int stream) noexcept:
        cdef Output out = self.transport.out
        return self.transport.taken + (0 if out is None else out.size)

    cdef int response_queued(self, int stream) except -1:
        # on_stream_sent() notes the end.
        return 0

    cdef int response_complete(self, int stream) except -1:
        cdef OpenStream opened = self.stream_of(stream)
        if opened is None:
            return 0
        if opened.tunnel:
            # RFC 8441 section 5: the end of the tunnel is that of the stream, and not of the connection.
            self.streams.send_end(stream)
        if not opened.input_ended:
            # RFC 9113 section 8.1: the rest of the request is not wanted.
            self.streams.end_input(stream, NO_ERROR)
        self.settle(opened)
        if opened.sent:
            self.end_stream(opened)
        else:
            self.fill_if_possible()
        return self.transport.resume_soon() if self.transport is not None else 0

    cdef int on_response_aborted(self, int stream, bint partial) except -1:
        cdef OpenStream opened = self.stream_of(stream)
        if opened is None:
            return 0
        if not partial:
            # A stream of events whose end was sent.
            if not opened.input_ended:
                self.streams.end_input(stream, NO_ERROR)
            # Its rest may wait for a window.
            if opened.sent:
                return self.end_stream(opened)
            opened.exchange.response_complete = True
            return self.transport.resume_soon()
        opened.dropped = self.streams.queued(stream)
        # A request that no application has seen may be repeated (RFC 9113 section 8.7).
        if not opened.exchange.head_sent and opened.exchange.in_flight.kind == NOT_COUNTED:
            self.streams.reset(stream, REFUSED_STREAM)
        else:
            self.streams.reset(stream, INTERNAL_ERROR)
        self.end_stream(opened)
        return self.transport.resume_soon() if self.transport is not None else 0

    cdef int lose_stream(self, OpenStream opened) except -1:
        """Ends a stream that was reset."""
        if opened.error_reason is not None:
            self.log_rejection(400, opened.error_reason, opened.exchange.request, opened.exchange.connection)
        self.end_stream(opened)
        # The application may call back.
        return opened.exchange.disconnect()

    cdef int end_stream(self, OpenStream opened) except -1:
        """Nothing more is sent on the stream."""
        cdef Exchange exchange = opened.exchange
        if opened.over:
            return 0
        opened.over = True
        if opened.waits_for_call:
            # It may be reset before any call of the connection ends.
            opened.waits_for_call = False
            self.waiting.remove(opened)
        if not opened.sent and not exchange.end_position:
            # It was reset. The bytes that have gone into the output are taken for sent.
            exchange.end_position = self.position(opened.stream) + opened.dropped
            exchange.report_end(opened.dropped)
        elif self.transport.out is None:
            self.on_output_taken()
        self.settle(opened)
        self.release_stream(opened)
        return self.end_if_drained()

    cdef int release_stream(self, OpenStream opened) except -1:
        """Forgets a stream that is over, unless the call of its application runs."""
        if opened.exchange.has_call:
            return 0
        # Ends the cycle of exchange and session.
        opened.exchange.call_host = None
        self.streams.release(opened.stream)
        if not self.streams.streams:
            self.idle_since = monotonic_coarse()
        return 0

    cdef int start_drain(self) except -1:
        """Asks the client to open no more streams on this connection. Those that are open finish."""
        if self.drain_started or self.ending:
            return 0
        self.drain_started = True
        # Usually it is confirmed after one round trip. A client need not do that.
        self.drain_since = monotonic()
        self.streams.now = monotonic_coarse()
        self.streams.start_drain()
        return self.transport.resume_soon()

    cdef int end_if_drained(self) except -1:
        if self.drained and not self.ending and self.transport is not None:
            self.ending = True
            return self.transport.finish()
        if self.input_over and not self.streams.streams and not self.ending and self.transport is not None:
            self.ending = True
            return self.transport.finish()
        return 0


cdef bint ends_connection(OpenStream opened) noexcept:
    """Whether the application, or the server, wants the connection to end with this response."""
    cdef Exchange exchange = opened.exchange
    if exchange.service.closes_connections:
        return True
    # The refusal of a tunnel ends the stream alone.
    return exchange.response is not None and exchange.response.close and not opened.is_connect
