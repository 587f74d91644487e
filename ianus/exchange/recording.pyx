"""Fakes for the neighbours of sessions, and the compiled methods of sessions and services that tests call.

recording_exchange has those of exchanges.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from ianus.codec.output cimport Output, OutputPool, iovec, release_output, take_output
from ianus.exchange.base cimport SEND_AFTER_TASKS, Poller, Session, SessionFactory, Transport
from ianus.exchange.connection_info cimport HTTP, HTTPS, ConnectionInfo, extended_connection_info
from ianus.exchange.http1_session cimport Http1Session
from ianus.exchange.service cimport Service
from ianus.exchange.stream_session cimport StreamSession
from ianus.exchange.tls_facts cimport TlsFacts
from ianus.runtime.clock cimport monotonic
from ianus.telemetry.observer cimport Observer, RequestFacts


cdef enum:
    LOW_WATERMARK_BYTES = 16384     # that of a real connection

CLIENT = ("192.0.2.1", 4711)
SERVER = ("192.0.2.80", 8000)


# ---------------------------------------------------------------- a connection


@cython.no_gc
cdef class RecordingConnection(Transport):
    """A connection without a socket. It treats its session as a real one does.

    output_ended: end_output() was called.
    calls: of the session. state: "open"; "finishing", while output is left after finish(), then "finished"; "closed",
    or "reset". resume_scheduled: resume() is to be called after the loop's callbacks.
    """
    cdef Session session            # the cycle ends with the loss of the connection
    cdef OutputPool outputs
    cdef readonly bytes unread      # received bytes that the session has not consumed
    cdef readonly list calls
    cdef readonly str state
    cdef readonly bint resume_scheduled
    cdef bint in_process_input
    cdef bint fin_seen, eof         # the client has finished; ... and all of its bytes were read
    cdef bytearray output_read      # output that the client has read
    cdef long long room             # bytes that the client reads before it is blocked; -1 = all
    cdef readonly bint output_ended
    cdef bint breaks                # the next output shows that the client has gone
    cdef public double received_at  # CLOCK_MONOTONIC seconds at which the system received the input; 0 = now

    def __init__(
        self, SessionFactory sessions not None, *, client=CLIENT, server=SERVER, bint https=False, TlsFacts tls=None
    ):
        self.outputs = OutputPool()
        self.info = extended_connection_info(client, server, HTTPS if https else HTTP, None, tls)
        self.unread = b""
        self.calls = []
        self.state = "open"
        self.output_read = bytearray()
        self.room = -1
        self.session = sessions.create(self)

    cdef Output output(self):
        return take_output(self, self.outputs)

    # ---------------------------------------------------------------- the client's side

    def receive(self, bytes data not None) -> None:
        """Passes these bytes to the session, after those that it has not consumed."""
        cdef bytes received = self.unread + data
        cdef Py_ssize_t used = self.session.received(PyBytes_AS_STRING(received), PyBytes_GET_SIZE(received))
        self.unread = received[used:]
        self.process_input()

    def finish_input(self, *, bint behind_unread=False) -> None:
        """Shows the session that the client sends nothing more, perhaps after bytes that were not read."""
        self.fin_seen = True
        if behind_unread:
            self.session.on_peer_finished(True)
        else:
            self.eof = True
            self.process_input()

    def stop_reading(self) -> None:
        """Has the client read nothing more."""
        self.room = 0

    def read(self, long long size=-1) -> None:
        """Has the client read `size` bytes; -1 for all bytes from now on."""
        self.room = size
        self.send_output()

    def break_on_send(self) -> None:
        """Has the client go without a notice: sending shows it."""
        self.breaks = True

    def take_output(self) -> bytes:
        """Returns the output that the client has read since the last call."""
        cdef bytes output = bytes(self.output_read)
        self.output_read = bytearray()
        return output

    def lose(self) -> None:
        """Acts as after a reset by the client, unless the connection is closed."""
        self.end("closed")

    # ---------------------------------------------------------------- the loop's side

    def resume(self) -> None:
        """Continues after the loop's callbacks, if the session has asked for that."""
        if not self.resume_scheduled or self.state in ("closed", "reset"):
            return
        self.resume_scheduled = False
        self.session.flush_deferred()
        if self.unread and self.state == "open" and self.session.wants_input():
            self.process_input()
        else:
            self.end_process_input()

    cdef int process_input(self) except -1:
        cdef bytes data
        self.in_process_input = True
        try:
            while True:
                self.session.run()
                data = self.unread
                if self.state != "open" or not data or not self.session.wants_input():
                    break
                used = self.session.received(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
                if used == 0:
                    break
                self.unread = data[used:]
        finally:
            self.in_process_input = False
        return self.end_process_input()

    cdef int end_process_input(self) except -1:
        if self.state == "open" and self.session.send_time() == SEND_AFTER_TASKS:
            self.resume_scheduled = True
        elif not self.blocked:
            self.send_output()
        if self.fin_seen and self.state == "open":
            self.session.on_peer_finished(
                not self.eof or self.unread and (self.resume_scheduled or not self.session.wants_input())
            )
        return 0

    cdef int send_output(self) except -1:
        cdef Output out = self.out
        cdef iovec piece
        cdef Py_ssize_t size, total = 0
        if self.state in ("closed", "reset"):
            return 0
        if out is not None and self.breaks:
            return self.end("closed")
        while out is not None and out.size and self.room != 0:
            if out.pieces(&piece, 1) == 0:
                out.load_file()
                continue
            size = piece.iov_len if self.room < 0 else min(<long long>piece.iov_len, self.room)
            self.output_read += PyBytes_FromStringAndSize(<const char*>piece.iov_base, size)
            out.sent(size)
            self.taken += size
            total += size
            if self.room > 0:
                self.room -= size
        if out is not None and out.size:
            self.blocked = True
            if total:
                self.session.on_output_taken()
            return self.session.on_writable() if out.size <= LOW_WATERMARK_BYTES else 0
        if out is not None:
            release_output(self, self.outputs)
            self.blocked = False
            self.session.on_writable()
        if self.state == "finishing" and self.out is None:
            self.state = "finished"
        return 0

    # ---------------------------------------------------------------- the session's side

    cdef int flush(self) except -1:
        self.calls.append("flush")
        return self.send_output()

    cdef int resume_soon(self) except -1:
        self.calls.append("resume_soon")
        if not self.in_process_input:
            self.resume_scheduled = True
        return 0

    cdef int reconsider(self) except -1:
        self.calls.append("reconsider")
        return 0

    cdef double input_received_at(self) noexcept:
        self.calls.append("input_received_at")
        return self.received_at or monotonic()

    cdef int end_output(self) except -1:
        # `output_ended` stands for the end that the peer finds.
        release_output(self, self.outputs)
        self.blocked = False
        self.output_ended = True
        return 0

    # The test passes input itself, so none waits.
    cdef int read_available(self) except -1:
        return 0

    cdef int finish(self) except -1:
        self.calls.append("finish")
        if self.state == "open":
            self.state = "finishing"
            if not self.in_process_input:
                self.send_output()
        return 0

    cdef int close(self) except -1:
        self.calls.append("close")
        return self.end("closed")

    cdef int close_without_lingering(self) except -1:
        self.calls.append("close_without_lingering")
        return self.end("closed")

    cdef int abort(self) except -1:
        self.calls.append("abort")
        return self.end("reset")

    cdef int end(self, str state) except -1:
        if self.state not in ("closed", "reset"):
            self.state = state
            self.session.on_connection_lost()
            release_output(self, self.outputs)
        return 0


def wants_input(RecordingConnection connection not None) -> bool:
    """Whether the session may be given bytes."""
    return connection.session.wants_input()


def wants_read(RecordingConnection connection not None) -> bool:
    """Whether the socket is to be read."""
    return connection.session.wants_read()


def is_busy(RecordingConnection connection not None) -> bool:
    """Whether a stop has to wait for the session."""
    return connection.session.is_busy()


def expects_input(RecordingConnection connection not None) -> bool:
    """Whether the client may still send bytes."""
    return connection.session.expects_input()


def write_timeout(RecordingConnection connection not None) -> float:
    """Seconds without progress of the output."""
    return connection.session.write_timeout()


def read_deadline(RecordingConnection connection not None) -> float:
    """The time at which the input is overdue, 0 for none."""
    return connection.session.read_deadline()


def discard_deadline(
    RecordingConnection connection not None, double since, double last, long long received
) -> float:
    """The time until which input is discarded."""
    return connection.session.discard_deadline(since, last, received)


def expire(RecordingConnection connection not None) -> None:
    """Acts as after the deadline for reading."""
    connection.session.on_expired()
    if not connection.blocked:
        connection.send_output()


def waiting_calls(RecordingConnection connection not None) -> int:
    """Streams of HTTP/2 that the session keeps because their calls wait for a thread."""
    return len((<StreamSession?>connection.session).waiting)


def drain(RecordingConnection connection not None) -> None:
    """Notifies the session that the server stops, as its service knows."""
    connection.session.drain()


def set_since(RecordingConnection connection not None, double at) -> None:
    """Sets the time of the first byte of a head, or of the end of the last exchange."""
    (<Http1Session>connection.session).since = at


def since(RecordingConnection connection not None) -> float:
    """The time that set_since() sets."""
    return (<Http1Session>connection.session).since


def change_connection(RecordingConnection connection not None, TlsFacts tls) -> None:
    """Gives the connection other facts of TLS, as if it was another one."""
    cdef ConnectionInfo info = connection.info
    connection.info = extended_connection_info(info.client, info.server, info.scheme, None, tls)


def tls_facts_of(ConnectionInfo info not None) -> TlsFacts | None:
    return info.tls_facts()


def websocket_scheme(ConnectionInfo info not None) -> str:
    """The scheme of a WebSocket over a connection."""
    return info.websocket_scheme()


# ---------------------------------------------------------------- the service


def drain_service(Service service not None, double at, *, bint handover=False) -> None:
    """Starts the stop of the server at the time `at`."""
    service.drain(handover)
    service.drain_started_at = at


def end_streams(Service service not None) -> None:
    """Has event streams end."""
    service.end_streams()


def has_conversation(RecordingConnection connection not None) -> bool:
    """Whether a WebSocket or an event stream is open, and its end has not started."""
    return connection.session.end_conversation(False)


def end_conversation(RecordingConnection connection not None) -> None:
    """Ends the WebSocket or event stream of the connection, as a reactor does."""
    connection.session.end_conversation(True)


def drain_sessions(SessionFactory sessions not None, *, bint handover=False) -> None:
    """Starts the stop of the server, as a reactor does."""
    sessions.drain(handover)


def end_streams_of(SessionFactory sessions not None) -> None:
    """Has event streams end, as a reactor does."""
    sessions.end_streams()


def reset_in_child(SessionFactory sessions not None) -> None:
    """Makes them the sessions of a forked child."""
    sessions.reset_in_child()


def warn_once(Service service not None, str message not None) -> None:
    """Logs a warning, unless it was logged before."""
    service.warn_once(message)


cdef class RecordingObserver(Observer):
    """Records the facts of each request. is_child: it was reset in a forked child."""
    cdef readonly list requests
    cdef readonly bint is_child

    def __init__(self, *, bint response_headers=False):
        self.requests = []
        self.wants_response_headers = response_headers

    cdef int on_request_end(self, const RequestFacts* facts) except -1:
        self.requests.append({
            "client": <object>facts.client, "method": <object>facts.method, "target": <object>facts.target,
            "http_version": <object>facts.http_version, "headers": list(<object>facts.headers),
            "response_headers": <object>facts.response_headers, "request_id": <object>facts.request_id,
            "status": facts.status, "size": facts.size, "started": facts.started, "duration": facts.duration,
            "queue_time": facts.queue_time,
        })
        return 0

    cdef int reset_in_child(self) except -1:
        self.is_child = True
        return 0


cdef class RecordingBatch(Poller):
    """A reactor that had a number of events when it last asked."""
    cdef int events

    def __init__(self, int events):
        self.events = events

    cdef int batch_size(self) noexcept nogil:
        return self.events
