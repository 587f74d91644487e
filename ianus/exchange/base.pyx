"""Abstract bases between acceptor and exchange; base.pxd is their commented index."""
cimport cython
from ianus.codec.base cimport Framing, HeadEncoder, Sink
from ianus.codec.fields cimport Field
from ianus.exchange.connection_info cimport HTTP, HTTPS
from ianus.codec.file_range cimport FileRange
from ianus.codec.output cimport OutputOwner
from ianus.runtime.clock cimport monotonic


cdef class BodyInput:
    cdef Py_ssize_t receive(self, char* buffer, Py_ssize_t size) noexcept nogil:
        return -2

    cdef int wait(self, double seconds) noexcept nogil:
        return 0


# A session must not run on a transport without one of these, so all but one raise.
@cython.no_gc
cdef class Transport(OutputOwner):
    cdef int flush(self) except -1:
        raise NotImplementedError

    cdef int limit_unsent(self) except -1:
        return 0

    cdef int resume_soon(self) except -1:
        raise NotImplementedError

    cdef int reconsider(self) except -1:
        raise NotImplementedError

    cdef int read_available(self) except -1:
        raise NotImplementedError

    # Of a transport without a system, input is received when it is read.
    cdef double input_received_at(self) noexcept:
        return monotonic()

    # The safe answer: the session reads all bodies itself.
    cdef BodyInput lend_input(self):
        return None

    cdef int end_output(self) except -1:
        raise NotImplementedError

    cdef int finish(self) except -1:
        raise NotImplementedError

    cdef int close(self) except -1:
        raise NotImplementedError

    cdef int close_without_lingering(self) except -1:
        raise NotImplementedError

    cdef int abort(self) except -1:
        raise NotImplementedError

    cdef int switch_session(self, Session session) except -1:
        raise NotImplementedError


# Those that an exchange needs raise. The questions below answer for a host without output.
@cython.no_gc
cdef class ExchangeHost(Sink):
    cdef HeadEncoder encoder(self):
        raise NotImplementedError

    cdef int send_informational(self, int stream, object head) except -1:
        raise NotImplementedError

    cdef int send_head(self, int stream, object head, Framing framing, long long length, bint close) except -1:
        raise NotImplementedError

    cdef int send_body(self, int stream, bytes data) except -1:
        raise NotImplementedError

    cdef int send_data(self, int stream, const char* data, Py_ssize_t size) except -1:
        raise NotImplementedError

    cdef int send_file(self, int stream, FileRange file) except -1:
        raise NotImplementedError

    cdef int send_end(self, int stream) except -1:
        raise NotImplementedError

    cdef int send_trailers(self, int stream, const Field* fields, Py_ssize_t count) except -1:
        raise NotImplementedError

    cdef int output_queued(self, int stream, bint at_once) except -1:
        raise NotImplementedError

    cdef int resume_soon(self, int stream) except -1:
        raise NotImplementedError

    cdef int reconsider(self, int stream) except -1:
        raise NotImplementedError

    # They are asked often, and cannot fail.
    cdef bint blocked(self, int stream) noexcept:
        return False

    cdef bint congested(self, int stream) noexcept:
        return False

    cdef Py_ssize_t unsent(self, int stream) noexcept:
        return 0

    cdef long long position(self, int stream) noexcept:
        return 0

    # With several streams the next request does not wait for a response.
    cdef bint is_serial(self, int stream) noexcept:
        return False

    cdef int cut_input(self, int stream) except -1:
        raise NotImplementedError

    cdef BodyInput lend_body(self, int stream):
        return None

    cdef int note_body(self, int stream, long long size) except -1:
        raise NotImplementedError

    cdef int body_expired(self, int stream) except -1:
        raise NotImplementedError

    # A client with one request at a time cannot have many calls.
    cdef bint admit_call(self, int stream, int max_calls) except -1:
        return True

    cdef int on_call_ended(self, int stream) except -1:
        return 0

    cdef int response_queued(self, int stream) except -1:
        raise NotImplementedError

    cdef int response_complete(self, int stream) except -1:
        raise NotImplementedError

    cdef int on_response_aborted(self, int stream, bint partial) except -1:
        raise NotImplementedError


@cython.no_gc
cdef class Session(ExchangeHost):
    cdef Py_ssize_t received(self, const char* data, Py_ssize_t size) except -1:
        raise NotImplementedError

    cdef int run(self) except -1:
        raise NotImplementedError

    cdef int body_expired(self, int stream) except -1:
        return self.on_expired()

    # A session that sends everything at once has nothing to do here.
    cdef int flush_deferred(self) except -1:
        return 0

    # The safe answer: input that is not wanted stays in the kernel.
    cdef bint wants_input(self) noexcept:
        return False

    cdef bint wants_read(self) noexcept:
        return False

    # The safe answer
    cdef SendTime send_time(self) noexcept:
        return SEND_NOW

    cdef int on_peer_finished(self, bint behind_unread) except -1:
        raise NotImplementedError

    # For sessions without an observer.
    cdef int on_output_taken(self) except -1:
        return 0

    cdef int on_writable(self) except -1:
        return 0

    cdef int on_connection_lost(self) except -1:
        raise NotImplementedError

    cdef int drain(self) except -1:
        raise NotImplementedError

    # A protocol without WebSockets and event streams.
    cdef bint end_conversation(self, bint ends) except -1:
        return False

    # A stop does not wait for it.
    cdef bint is_busy(self) noexcept:
        return False

    # 0: the time is not limited.
    cdef double read_deadline(self) except -1:
        return 0

    cdef int on_expired(self) except -1:
        raise NotImplementedError

    # 0: the time is not limited.
    cdef double write_timeout(self) noexcept:
        return 0

    cdef bint expects_input(self) noexcept:
        return False

    # No response can reach such a client.
    cdef bint outlives_peer(self) noexcept:
        return False

    cdef bint may_pass_on(self, const char* head, Py_ssize_t size) noexcept:
        return False

    # No input is discarded: the connection closes at once.
    cdef double discard_deadline(self, double since, double last, long long received) noexcept:
        return since


cdef class Poller:
    cdef bint dispatch_next(self) except -1:
        raise NotImplementedError

    # A poller that is not asked has no events. These run without the GIL, so they cannot raise.
    cdef int batch_size(self) noexcept nogil:
        return 0

    cdef int pending(self) noexcept nogil:
        return 0

    # A poller need not support a second thread.
    cdef bint peek(self) except -1:
        return False

    cdef int resume_waiting(self) except -1:
        raise NotImplementedError

    cdef int sleep(self) noexcept nogil:
        return 0

    cdef int wake(self) noexcept nogil:
        return 0


# A factory without state has nothing to stop.
cdef class SessionFactory:
    def __cinit__(self):
        self.scheme = HTTP

    def set_scheme(self, str scheme not None) -> None:
        """Sets the scheme of requests in which no proxy reports one: http or https."""
        self.scheme = HTTPS if scheme == "https" else HTTP

    cdef Session create(self, Transport transport):
        raise NotImplementedError

    # A factory of one protocol.
    cdef Session create_negotiated(self, Transport transport, str protocol):
        return self.create(transport)

    cdef int drain(self, bint handover) except -1:
        return 0

    cdef int end_streams(self) except -1:
        return 0

    cdef int reset_in_child(self) except -1:
        return 0
