"""Connection, session and exchange as they see each other: Transport, Session, ExchangeHost.

The acceptor knows sessions only by this file, sessions know nothing of sockets, and exchanges nothing of connections.
"""
cimport cython
from ianus.codec.base cimport Framing, HeadEncoder, Sink
from ianus.codec.fields cimport Field
from ianus.codec.file_range cimport FileRange
from ianus.codec.output cimport OutputOwner
from ianus.exchange.connection_info cimport ConnectionInfo


# A truth value in one byte; bint takes four: there are thousands of idle connections.
ctypedef unsigned char flag


cdef class BodyInput:
    """The input of a connection while another thread reads the body of a request from it."""

    # Receives bytes that are there: 0 at the end of the input, -1 if there are none, -2 if the connection is broken.
    cdef Py_ssize_t receive(self, char* buffer, Py_ssize_t size) noexcept nogil
    cdef int wait(self, double seconds) noexcept nogil  # until bytes may be there, or at most this long


@cython.no_gc
cdef class Transport(OutputOwner):
    """The operations of a connection that its session may use."""
    cdef readonly ConnectionInfo info
    cdef flag blocked                   # the peer does not take more output now
    cdef long long taken                # bytes of output that the kernel has taken so far

    cdef int flush(self) except -1      # send queued output, as far as the peer takes it
    # From now on the system keeps little output that it cannot send, so that more urgent output may overtake the rest.
    cdef int limit_unsent(self) except -1
    cdef int resume_soon(self) except -1     # the same, and continue with the input, after the other connections
    cdef int reconsider(self) except -1  # willingness to read, or a deadline, changed
    cdef int read_available(self) except -1  # reads once, if the session takes it, without waiting for an event
    # CLOCK_MONOTONIC seconds at which the system received the last input, as far as it is known; else now. A call of
    # the system, so only for the measurement of the queue time.
    cdef double input_received_at(self) noexcept
    # The input for another thread, while the session wants none; or None if it cannot be read in this way now.
    cdef BodyInput lend_input(self)
    cdef int end_output(self) except -1  # the peer finds the end of its input now; unsent output is discarded
    cdef int finish(self) except -1     # close once the output is sent, lingering (RFC 9112 section 9.6)
    cdef int close(self) except -1      # close at once, with unsent and unread bytes
    # Closes at once if no output is queued, since nothing can be lost then; else finish().
    cdef int close_without_lingering(self) except -1
    cdef int abort(self) except -1      # close at once with a reset, so that a part cannot pass for the whole
    # Another session takes over, for example once the first bytes have shown the protocol. Called by run() of the one
    # before, whose unconsumed bytes it gets.
    cdef int switch_session(self, Session session) except -1


@cython.no_gc
cdef class ExchangeHost(Sink):
    """The interface of a session for its exchanges, each of which names its stream."""
    cdef HeadEncoder encoder(self)      # of the responses in the session's protocol

    # Queue output, as the methods of the codec do (codec/base).
    cdef int send_informational(self, int stream, object head) except -1
    cdef int send_head(self, int stream, object head, Framing framing, long long length, bint close) except -1
    cdef int send_body(self, int stream, bytes data) except -1
    cdef int send_data(self, int stream, const char* data, Py_ssize_t size) except -1
    cdef int send_file(self, int stream, FileRange file) except -1
    cdef int send_end(self, int stream) except -1
    cdef int send_trailers(self, int stream, const Field* fields, Py_ssize_t count) except -1
    # Output was queued: it is sent at once, or after the loop's callbacks, together with more.
    cdef int output_queued(self, int stream, bint at_once) except -1
    # Continues with output and input after the loop's callbacks. Allowed while a codec is on the stack.
    cdef int resume_soon(self, int stream) except -1
    cdef int reconsider(self, int stream) except -1     # its willingness to take input, or a deadline, changed
    cdef bint blocked(self, int stream) noexcept        # the peer does not take more output now
    cdef bint congested(self, int stream) noexcept      # ... and much is queued already
    cdef Py_ssize_t unsent(self, int stream) noexcept   # queued bytes
    cdef long long position(self, int stream) noexcept  # of the next queued byte in all output of the connection
    cdef bint is_serial(self, int stream) noexcept      # the next request of the client waits for this response
    cdef int cut_input(self, int stream) except -1      # the exchange ends while the peer is perhaps still sending
    # The rest of a body of declared length, for another thread; or None. The exchange accepts no body until it is over.
    cdef BodyInput lend_body(self, int stream)
    cdef int note_body(self, int stream, long long size) except -1  # that thread has received these bytes
    cdef int body_expired(self, int stream) except -1   # ... or has waited for it for too long
    # Whether the exchange may have a thread call its application. Otherwise the connection has `max_calls` such calls,
    # and notify_readable() of the exchange follows after the end of one.
    cdef bint admit_call(self, int stream, int max_calls) except -1
    cdef int on_call_ended(self, int stream) except -1      # has_call of the exchange is not true any more
    cdef int response_queued(self, int stream) except -1    # the last byte of a response is in the output
    cdef int response_complete(self, int stream) except -1
    # A response ends early. partial: the client must not take it for a complete one.
    cdef int on_response_aborted(self, int stream, bint partial) except -1


cdef enum SendTime:
    SEND_NOW            # the peer may wait for it
    # It has the end of the last response, or whole messages, and may be sent with the output of other connections
    SEND_AFTER_BATCH
    SEND_AFTER_TASKS    # an application was just scheduled, and its response may join the output


@cython.no_gc
cdef class Session(ExchangeHost):
    """One conversation in any protocol, driven by a connection."""
    cdef Transport transport            # None once the connection is gone

    # The codec is on the stack during received(): it returns the number of bytes taken, and runs no application code.
    cdef Py_ssize_t received(self, const char* data, Py_ssize_t size) except -1
    # After received(): starts or wakes applications, answers errors.
    cdef int run(self) except -1
    # After the loop's callbacks: sends output that waited until the application suspends.
    cdef int flush_deferred(self) except -1
    cdef bint wants_input(self) noexcept        # may received() be called?
    cdef bint wants_read(self) noexcept         # should the socket be read?
    cdef SendTime send_time(self) noexcept      # of the queued output
    cdef int on_peer_finished(self, bint behind_unread) except -1   # FIN was seen; perhaps after bytes not read yet
    cdef int on_output_taken(self) except -1    # the kernel has taken some of the output, not all of it
    cdef int on_writable(self) except -1        # the output has drained below the low watermark, or wholly
    cdef int on_connection_lost(self) except -1     # the connection is gone; its unsent output is still there
    cdef int drain(self) except -1              # the server stops, as its factory knows
    # Whether a WebSocket or an event stream is open whose end has not started. ends: start it, for a stop with
    # ws_drain_spread.
    cdef bint end_conversation(self, bint ends) except -1
    cdef bint is_busy(self) noexcept            # the stop has to wait for it
    cdef double read_deadline(self) except -1   # CLOCK_MONOTONIC seconds, 0 = none
    cdef int on_expired(self) except -1         # it has passed, and the socket was drained first
    cdef double write_timeout(self) noexcept    # seconds without progress of the output, 0 = none
    # Whether the peer may still send something, which would reset a closed connection and destroy the answer.
    cdef bint expects_input(self) noexcept
    # Whether the bytes that the peer has sent before it closed are wanted, although nothing can be sent to it any more.
    cdef bint outlives_peer(self) noexcept
    # Whether another process may serve the next request, of which no byte was read. head: its first bytes.
    cdef bint may_pass_on(self, const char* head, Py_ssize_t size) noexcept
    # Until when input is discarded: its start, its last byte, the bytes so far. CLOCK_MONOTONIC seconds.
    cdef double discard_deadline(self, double since, double last, long long received) noexcept


cdef class Poller:
    """A reactor as seen by threads that serve it in turns; one at a time, but for sleep() and wake()."""
    cdef object on_wake                     # called in the turn after wake(), or None
    # No further call of the application can be made now, so requests are left to other workers. Set by the threads.
    cdef bint full

    cdef bint dispatch_next(self) except -1  # serves one event that is ready; whether there was one
    cdef int pending(self) noexcept nogil   # events that dispatch_next() would find without asking the system
    cdef int batch_size(self) noexcept nogil    # events that it found when it last asked
    cdef bint peek(self) except -1          # dispatch_next() for another thread while the one that polls is in sleep()
    cdef int resume_waiting(self) except -1  # continues connections that listed themselves outside of that
    # Until there is an event, or a signal: then 0. Meanwhile no thread calls dispatch_next().
    cdef int sleep(self) noexcept nogil
    cdef int wake(self) noexcept nogil      # ends a sleep, or has on_wake() called; from any thread


cdef class SessionFactory:
    """Makes the sessions of the connections of a listener; several listeners may share one."""
    cdef str scheme                 # of requests in which no proxy reports one: HTTP or HTTPS (connection_info)

    cdef Session create(self, Transport transport)
    # The same after a negotiation. protocol: its name for ALPN (RFC 7301), or None
    cdef Session create_negotiated(self, Transport transport, str protocol)
    # The server is stopping: every response is the last of its connection. handover: another one has the listeners.
    cdef int drain(self, bint handover) except -1
    cdef int end_streams(self) except -1    # event streams and requests that only wait are to end, too
    cdef int reset_in_child(self) except -1  # this is the child of a fork: nothing here is served or logged any more
