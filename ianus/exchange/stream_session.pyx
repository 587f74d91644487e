"""The life of a conversation of many streams: HTTP/2, and the part of it that HTTP/3 shares.

The codec has the streams, their flow control and their queued output. The session has an exchange for each, and all
times.

Rules:
- Sink calls only note events. run() acts on them when no codec is on the stack, after the output too.
- A stream exists until its response has ended and the call of its application has returned, also after a reset. So a
  client cannot have more calls than streams (CVE-2023-44487, CVE-2025-8671).
- The client may send more of a body as the application takes it, or as it is spooled or discarded. So a body that
  waits is limited by the window of its stream.
- An error of a stream ends that stream alone. After an error of the connection nothing of it is read any more.
- One connection has at most as many queued calls as the pool has threads. The others wait in the session, so that a
  connection with many streams does not keep other connections from the threads.

Compiled because it handles every request over HTTP/2.
"""
cimport cython

from ianus.codec.base cimport CANCEL, ENHANCE_YOUR_CALM, ErrorCode
from ianus.codec.output cimport Output
from ianus.exchange.base cimport SEND_AFTER_BATCH, SEND_AFTER_TASKS, SEND_NOW, SendTime
from ianus.exchange.http cimport GATHER_BYTES, HIGH_WATER, Exchange, is_open_stream
from ianus.exchange.open_stream cimport OpenStream
from ianus.exchange.service cimport Deadlines
from ianus.exchange.stream_input cimport earlier
from ianus.exchange.stream_output cimport StreamOutput
from ianus.exchange.tunnel cimport TunnelExchange
from ianus.runtime.clock cimport monotonic, monotonic_coarse

from ianus.exchange.refusals import log_refusal


cdef double TURN_SECONDS = 0.001        # of one connection, in which it starts applications
cdef double CONFIRM_SECONDS = 1.0       # in which a client has to confirm that the connection ends
cdef double DISCARD_SECONDS = 5.0       # in which a client has to close the connection after its end
cdef double STOPPING_SECONDS = 1.0      # ... while the server stops

cdef enum:
    # Output at which nothing more is read. Replies to frames of the client add to the usual GATHER_BYTES.
    MAX_OUTPUT_BYTES = GATHER_BYTES + HIGH_WATER


@cython.no_gc
cdef class StreamSession(StreamOutput):
    cdef Py_ssize_t received(self, const char* data, Py_ssize_t size) except -1:
        self.streams.now = monotonic_coarse()
        return self.streams.feed(data, size)

    cdef int run(self) except -1:
        self.run_noted()
        self.run_output_events()
        if self.failure_reason is not None:
            return self.close_failed()
        # The client has perhaps opened a window.
        self.fill_if_possible()
        if self.deferred and not self.scheduled:
            # Usually their applications have already answered, so that flush_deferred() has nothing to do.
            self.deferred = [opened for opened in self.deferred if not (<OpenStream>opened).over]
        return self.end_if_drained()

    cdef int run_noted(self) except -1:
        """Acts on the noted events, for a limited time. flush_deferred() continues with the rest."""
        cdef OpenStream opened
        cdef double started = 0
        # Applications that are started here may add to the list.
        while self.next_noted < len(self.noted):
            if self.next_noted:
                if started == 0:
                    started = monotonic()
                elif monotonic() - started > TURN_SECONDS:
                    return 0
            opened = <OpenStream>self.noted[self.next_noted]
            self.next_noted += 1
            opened.noted = False
            self.run_stream(opened)
        self.next_noted = 0
        self.noted.clear()
        return 0

    cdef int run_stream(self, OpenStream opened) except -1:
        cdef Exchange exchange = opened.exchange
        if opened.over or self.transport is None:
            return 0
        if opened.was_reset:
            return self.lose_stream(opened)
        if opened.error_status:
            return self.answer_invalid(opened)
        if opened.unstarted:
            # Before the application is called, which may lead back here.
            opened.unstarted = False
            self.start_stream(opened)
        elif exchange.has_unread_input and not exchange.response_complete:
            # Before the call: input that arrives in it must be noticed again.
            exchange.has_unread_input = False
            if exchange.on_input():
                self.scheduled = True
                self.defer(opened)
        return self.settle(opened)

    cdef int start_stream(self, OpenStream opened) except -1:
        if self.start_exchange(opened.exchange):
            self.scheduled = True
            self.defer(opened)
        return 0

    cdef int flush_deferred(self) except -1:
        cdef list deferred = self.deferred
        cdef OpenStream opened
        # The applications had their turn, so their output is not waited for any longer.
        self.scheduled = False
        if deferred:
            # Taken first: the calls may add to the list, for the next time.
            self.deferred = []
            for opened in deferred:
                opened.deferred = False
                if self.transport is None:
                    return 0
                if opened.exchange.tunnel and opened.exchange.accepts_body():
                    # Bytes that have waited in the codec, and its end.
                    self.streams.resume_tunnel(opened.stream)
                if not opened.over and opened.exchange.session is not None:
                    opened.exchange.flush_deferred()
                    self.settle(opened)
        self.run_noted()
        self.run_output_events()
        self.fill_if_possible()
        return self.end_if_drained()

    cdef bint wants_input(self) noexcept:
        return not self.ending and not self.output_is_full() and not self.noted

    cdef bint wants_read(self) noexcept:
        return not self.ending and not self.output_is_full() and not self.noted

    cdef bint output_is_full(self) noexcept:
        """Whether nothing is read, since the client does not read the replies to its frames."""
        cdef Output out = self.transport.out
        return out is not None and out.size >= MAX_OUTPUT_BYTES

    cdef SendTime send_time(self) noexcept:
        # flush_deferred() follows then.
        if self.scheduled or self.noted or self.deferred:
            return SEND_AFTER_TASKS
        return SEND_NOW if self.streams.streams else SEND_AFTER_BATCH

    cdef int on_peer_finished(self, bint behind_unread) except -1:
        cdef OpenStream opened
        if behind_unread or self.input_over or self.ending:
            return 0
        self.input_over = True
        if not self.streams.streams:
            return self.transport.finish()
        for opened in self.streams.owners():
            if opened.over or opened.exchange.response_complete:
                continue
            if not opened.exchange.head_sent:
                # The log shows 499 then.
                opened.exchange.peer_finished_early = True
            opened.exchange.peer_finished = True
            # As over HTTP/1: its response may still be sent, and a body that is incomplete stays so.
            opened.exchange.notify_readable()
        return 0

    cdef int on_writable(self) except -1:
        if self.first_unreported is not None:
            # A drained output has been taken by the kernel, so responses may be reported.
            self.on_output_taken()
        if self.streams.has_queued():
            self.fill()
            if self.transport is not None and self.transport.out is not None and not self.transport.blocked:
                # The connection sends it after the others have had their turn.
                self.transport.resume_soon()
        return 0

    cdef int on_connection_lost(self) except -1:
        cdef long long taken = self.transport.taken
        cdef list all_streams = self.streams.owners()
        cdef OpenStream opened
        for opened in all_streams:
            if not opened.over:
                # Bytes that wait for a window count as unsent ones.
                opened.dropped = self.streams.queued(opened.stream)
                if not opened.exchange.end_position:
                    self.note_end(opened.exchange)
                    opened.exchange.end_position += opened.dropped
        self.transport = None
        # Ends the cycles: codec and session, codec and connection, streams and session.
        self.streams.abandon()
        self.ending = True
        self.noted = []
        self.next_noted = 0
        self.deferred = []
        self.writable = []
        self.sent = []
        self.waiting = []
        self.senders = []
        for opened in all_streams:
            opened.exchange.call_host = None
            if not opened.over:
                opened.over = True
                # The application may call back.
                opened.exchange.disconnect()
        # With the number from before, since the connection returns its output to the pool.
        return self.report_all(taken)

    cdef int drain(self) except -1:
        cdef OpenStream opened
        for opened in self.streams.owners():
            if not opened.over and not opened.unstarted:
                opened.exchange.drain()
            if self.transport is None:
                return 0
        self.start_drain()
        return self.transport.reconsider() if self.transport is not None else 0

    cdef bint end_conversation(self, bint ends) except -1:
        # All conversations of a connection end at once: their client reconnects once.
        cdef OpenStream opened
        cdef Exchange exchange
        cdef bint found = False
        for opened in self.streams.owners():
            exchange = opened.exchange
            if opened.over or exchange.response_complete:
                continue
            if (<TunnelExchange>exchange).tunnel_is_open() if exchange.tunnel else is_open_stream(exchange):
                found = True
                if ends:
                    exchange.stop_stream()
                    if self.transport is None:
                        break
                    # Its application has a limited time to end it.
                    self.note_deadline(opened)
        if found and ends and self.transport is not None:
            self.transport.reconsider()
        return found

    cdef bint is_busy(self) noexcept:
        cdef OpenStream opened
        if self.ending:
            return False
        # Without a stream: until the client has confirmed the end.
        if not self.streams.streams:
            return True
        for opened in self.streams.owners():
            if opened.over or opened.exchange.is_busy():
                return True
        return False

    cdef double read_deadline(self) except -1:
        cdef Deadlines deadlines = self.service.deadlines
        cdef double deadline = self.check_at, since
        cdef double idle = deadlines.timeout_keep_alive or deadlines.timeout_request_header
        cdef int stream
        if self.ending:
            return 0
        since = self.streams.head_since()
        if since:
            # Absolute: bytes that arrive one by one do not extend it.
            if deadlines.timeout_request_header:
                deadline = earlier(deadline, since + deadlines.timeout_request_header)
            if self.is_stopping():
                deadline = earlier(deadline, self.service.stalled_deadline(since))
        if not self.streams.streams and idle:
            deadline = earlier(deadline, self.idle_since + idle)
        if deadlines.timeout_write:
            since = self.streams.stalled_since(&stream)
            if since:
                deadline = earlier(deadline, since + deadlines.timeout_write)
        if self.drain_since:
            deadline = earlier(deadline, self.drain_since + CONFIRM_SECONDS)
        return deadline

    cdef int on_expired(self) except -1:
        cdef Deadlines deadlines = self.service.deadlines
        cdef double now = monotonic(), since
        cdef double idle = deadlines.timeout_keep_alive or deadlines.timeout_request_header
        since = self.streams.head_since()
        if since and (
            deadlines.timeout_request_header and now >= since + deadlines.timeout_request_header
            or self.is_stopping() and now >= self.service.stalled_deadline(since)
        ):
            return self.fail(ENHANCE_YOUR_CALM, "frame not complete within timeout-request-header")
        if not self.streams.streams and idle and now >= self.idle_since + idle:
            # RFC 9113 section 9.1. Requests that are on their way have higher numbers, so the client may repeat them.
            self.ending = True
            self.streams.finish_drain()
            return self.transport.finish()
        if deadlines.timeout_write:
            self.end_stalled(now - deadlines.timeout_write)
            if self.ending:
                return 0
        if self.drain_since and now >= self.drain_since + CONFIRM_SECONDS:
            self.drain_since = 0
            self.streams.finish_drain()
        if self.check_at and now >= self.check_at:
            self.check_deadlines(now)
        self.end_if_drained()
        return self.transport.flush() if self.transport is not None else 0

    cdef int end_stalled(self, double before) except -1:
        """Ends the streams that have waited for a window since this time."""
        cdef int stream = 0
        cdef double since = self.streams.stalled_since(&stream)
        cdef OpenStream opened
        while since and since <= before:
            if not stream:
                return self.fail(ENHANCE_YOUR_CALM, "client does not open the window of the connection")
            opened = self.stream_of(stream)
            if opened is not None:
                # Before they are discarded.
                opened.dropped = self.streams.queued(stream)
            self.streams.reset(stream, CANCEL)
            if opened is not None:
                opened.was_reset = True
                # The application may call back, and end the connection.
                self.lose_stream(opened)
            since = self.streams.stalled_since(&stream)
        return 0

    cdef int check_deadlines(self, double now) except -1:
        """Acts on the deadlines of all streams, and finds the next one."""
        cdef OpenStream opened
        cdef double deadline
        self.check_at = 0
        for opened in self.streams.owners():
            deadline = self.deadline_of(opened)
            if deadline and now >= deadline:
                self.expire(opened)
                if self.transport is None:
                    return 0
                deadline = self.deadline_of(opened)
            self.check_at = earlier(self.check_at, deadline)
        return 0

    cdef int expire(self, OpenStream opened) except -1:
        cdef Exchange exchange = opened.exchange
        cdef str reason = "request body too slow for timeout-request-body or limit-body-rate"
        if exchange.tunnel:
            return (<TunnelExchange>exchange).tunnel_expired()
        if exchange.stopped:
            return exchange.end_events()
        if self.is_stopping():
            reason = "request body not complete while the server stops"
        self.log_rejection(408, reason, exchange.request, exchange.connection)
        if exchange.head_sent:
            # A response has started, so its status cannot be replaced.
            return exchange.abort_response()
        # RFC 9110 section 15.5.9
        return exchange.send_error(408, reason, [], False)

    cdef double discard_deadline(self, double since, double last, long long received) noexcept:
        return since + (STOPPING_SECONDS if self.is_stopping() else DISCARD_SECONDS)

    cdef bint expects_input(self) noexcept:
        # Frames of the client may be on their way at any time. A reset would destroy the last responses.
        return True

    cdef int resume_soon(self, int stream) except -1:
        cdef OpenStream opened = self.stream_of(stream)
        if opened is not None:
            self.defer(opened)
        return self.transport.resume_soon()

    cdef bint admit_call(self, int stream, int max_calls) except -1:
        cdef OpenStream opened = self.stream_of(stream)
        if opened is None or opened.has_thread:
            return True
        if self.thread_calls >= max_calls:
            if not opened.waits_for_call:
                opened.waits_for_call = True
                self.waiting.append(opened)
            return False
        opened.has_thread = True
        self.thread_calls += 1
        return True

    cdef int on_call_ended(self, int stream) except -1:
        cdef OpenStream opened
        # The connection is gone.
        if self.transport is None:
            return 0
        opened = self.stream_of(stream)
        if opened is None:
            return 0
        if opened.has_thread:
            opened.has_thread = False
            self.thread_calls -= 1
            self.start_waiting()
        if opened.over:
            self.release_stream(opened)
            return self.end_if_drained()
        return 0

    cdef int start_waiting(self) except -1:
        """Has the stream that waits longest call its application."""
        cdef OpenStream opened
        # Entries are removed at once, since a busy connection always has some; they are at most its streams.
        while self.waiting:
            opened = <OpenStream>self.waiting.pop(0)
            opened.waits_for_call = False
            if not opened.over and opened.exchange.session is not None:
                opened.exchange.notify_readable()
                return 0
        return 0

    cdef int answer_invalid(self, OpenStream opened) except -1:
        """Answers a request that is invalid or over a limit, if that is still possible."""
        cdef Exchange exchange = opened.exchange
        cdef int status = opened.error_status
        opened.error_status = 0
        opened.unstarted = False
        self.log_rejection(status, opened.error_reason, exchange.request, exchange.connection)
        if exchange.response_complete or exchange.session is None:
            return 0
        if exchange.head_sent:
            return exchange.abort_response()
        return exchange.send_error(status, opened.error_reason, [], False)

    cdef int fail(self, ErrorCode code, str reason) except -1:
        """Ends the connection because of the client."""
        self.streams.fail_connection(code)
        self.failure = code
        self.failure_reason = reason
        return self.close_failed()

    cdef int close_failed(self) except -1:
        cdef str reason = self.failure_reason
        cdef OpenStream opened
        self.failure_reason = None
        if self.transport is None or self.ending:
            return 0
        log_refusal(self.transport.info.client, reason)
        self.ending = True
        # RFC 9113 section 5.4.1: no response can be sent any more.
        for opened in self.streams.owners():
            if not opened.over:
                opened.was_reset = True
                opened.dropped = self.streams.queued(opened.stream)
                opened.error_reason = None
                self.lose_stream(opened)
                if self.transport is None:
                    return 0
        return self.transport.finish()
