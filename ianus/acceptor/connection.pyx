"""Drives one connection, in the order of its life: read, process, write, close.

Facts: a keep-alive client sends one request, gets one response, and waits. Strategy: bytes are received into a
buffer that all connections share. Bytes that the codec does not consume are copied into `leftover`, which idle
connections do not have. Output is sent at the end of the turn in one call.

Rules:
- No application code runs while the codec reads: process_input() feeds, then runs, then feeds the leftovers.
- A fd is closed here and nowhere else: unwatch, shutdown, close, in that order, so that neither a fork's copy
  nor the next owner of the number can get an event or a byte of it.
- A paused connection is not watched for READABLE, or level-triggered readiness would spin. FIN is watched until seen.

Compiled because every request passes here: 726 instructions for ASGI hello.
"""
cimport cython

from libc.errno cimport EAGAIN, ECONNRESET, EINTR, EPIPE, errno
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from posix.types cimport off_t

from ianus.acceptor.body_socket cimport body_socket
from ianus.acceptor.byte_filter cimport FILTER_FAILED, NOTHING_RECEIVED
from ianus.acceptor.filtering cimport receive_filtered
from ianus.acceptor.input_time cimport input_time
from ianus.acceptor.last_input cimport discard_rest, read_rest
from ianus.acceptor.poll.base cimport BROKEN, HANGUP, PEER_FINISHED, READABLE, WRITABLE
from ianus.acceptor.socket_api cimport (
    IPPROTO_TCP, MSG_MORE, MSG_NOSIGNAL, MSG_PEEK, MSG_TRUNC, SHUT_RDWR, SHUT_WR, SO_LINGER, SOL_SOCKET,
    TCP_NOTSENT_LOWAT, c_close, linger_option, msghdr, recv, send, sendfile, sendmsg, setsockopt, shutdown,
)
from ianus.codec.file_range cimport FileRange
from ianus.runtime.live_objects cimport CONNECTIONS, count
from ianus.codec.output cimport Output, iovec, release_output, take_output
from ianus.exchange.base cimport SEND_AFTER_BATCH, SEND_AFTER_TASKS, BodyInput, Poller, SendTime, Session, Transport
from ianus.runtime.clock cimport monotonic

from ianus.telemetry.logger import logger


cdef enum:
    MAX_IOVECS = 32         # pieces of output in one sendmsg
    TURN_BYTES = 524288     # bytes sent in one turn, so that one fast reader does not keep the others waiting
    COALESCE_BYTES = 65536  # maximum bytes of output that wait for more
    UNSENT_BYTES = 262144   # bytes that the system keeps unsent after limit_unsent()
    LOW_WATERMARK_BYTES = 16384  # bytes of output below which a waiting application may continue

cdef double THROTTLE_SECONDS = 0.1
cdef double TURN_SECONDS = 0.001


cdef class ConnectionHost(Poller):
    cdef int watch(self, Connection connection, unsigned int events) except -1:
        raise NotImplementedError

    cdef int schedule(self, Connection connection, double when) except -1:
        raise NotImplementedError

    cdef int schedule_resume(self, Connection connection) except -1:
        raise NotImplementedError

    cdef int remove(self, Connection connection, int fd) except -1:
        raise NotImplementedError


cdef int open_connection(Connection connection, ConnectionHost host, int fd) except -1:
    """Takes fd over. The caller sets the session and the id, then calls update()."""
    connection.host = host
    connection.fd = fd
    return 0


@cython.no_gc
cdef class Connection(Transport):
    def __cinit__(self):
        self.fd = -1
        count(CONNECTIONS, 1)

    def __dealloc__(self):
        free(self.leftover)
        count(CONNECTIONS, -1)

    cdef Output output(self):
        return take_output(self, self.host.pool)

    # ---------------------------------------------------------------- events

    cdef int on_events(self, unsigned int events) except -1:
        if events & (BROKEN | HANGUP):
            if self.session.outlives_peer() and not self.closing:
                return read_rest(self)
            # Reset, or both sides shut down: no response can reach the client.
            return self.close() if events & BROKEN or not self.lingering else discard_rest(self)
        if events & WRITABLE:
            self.flush()
            if self.fd < 0:
                return 0
        if events & READABLE:
            if self.closing:
                return self.discard()
            if self.may_read():
                return self.read()
            # update() stops watching for READABLE; a FIN after these bytes is still noticed.
            self.unread = True
        if events & PEER_FINISHED and not self.fin_seen:
            self.fin_seen = True
            if not self.closing:
                self.session.on_peer_finished(True)
        if self.fd >= 0 and not self.in_process_input:
            self.update()
        return 0

    cdef int on_timer(self, double now) except -1:
        """Checks the deadlines after a timer of this connection expired, and after reading the input that is there."""
        cdef double deadline
        if self.fd < 0:
            return 0
        # The wheel no longer has this connection; update() schedules it again.
        self.deadline = 0
        self.throttled = False
        if self.lingering:
            # A loop that was blocked must not cut a client off whose bytes have arrived meanwhile.
            self.discard()
            if self.fd < 0:
                return 0
            return self.close() if now >= self.host.lingering.deadline(self.id, self.session) else self.update()
        if output_expired(self, now):
            self.flush()
            if self.fd < 0:
                return 0
            if output_expired(self, now):
                return self.abort()     # Without a reset, the kernel would keep its part of the output for minutes.
        if not self.closing:
            deadline = self.session.read_deadline()
            if deadline and now >= deadline:
                # A loop that was blocked must not punish clients whose bytes have arrived meanwhile.
                if self.may_read():
                    self.read()
                if self.fd >= 0 and not self.closing:
                    deadline = self.session.read_deadline()
                    if deadline and now >= deadline:
                        self.session.on_expired()
        if self.fd >= 0:
            self.update()
        return 0

    # ---------------------------------------------------------------- reading

    cdef bint may_read(self) noexcept:
        """Whether the session can take more bytes now."""
        if self.eof or self.closing:
            return False
        if self.filter is not None and self.filter.is_congested():
            return False
        if self.leftover != NULL:
            return self.session.wants_input()
        return self.session.wants_read()

    cdef int read(self) except -1:
        """Receives once, after a copy of the leftovers, and processes the bytes."""
        cdef ConnectionHost host = self.host
        cdef char* buffer = host.receive_buffer
        cdef Leftover* leftover = self.leftover
        cdef Py_ssize_t kept = 0 if leftover == NULL else leftover.end - leftover.start
        cdef Py_ssize_t n, used
        if self.in_process_input or host.parsing or kept >= host.receive_size:
            return 0
        if self.filter is not None:
            n = receive_filtered(self, buffer + kept, host.receive_size - kept)
            if n == NOTHING_RECEIVED:
                return self.update() if self.fd >= 0 else 0
            if n == FILTER_FAILED:
                return self.close()
        else:
            while True:
                n = recv(self.fd, buffer + kept, host.receive_size - kept, 0)
                if n >= 0 or errno != EINTR:
                    break
            if n < 0:
                return 0 if errno == EAGAIN else self.close()
        if n == 0:
            # Requests may be left that were complete before the client finished: they are processed first.
            self.eof = self.fin_seen = True
            return self.process_input()
        if kept:
            memcpy(buffer, leftover.data + leftover.start, kept)
            drop_leftover(self)
            n += kept
        host.parsing = True
        try:
            used = self.session.received(buffer, n)
        finally:
            host.parsing = False
        if used < n:
            keep_leftover(self, buffer + used, n - used)
        return self.process_input()

    cdef int read_available(self) except -1:
        return self.read() if self.fd >= 0 and self.may_read() else 0

    cdef int process_input(self) except -1:
        """Runs the session on the received input, then feeds it the leftovers, as long as it consumes any."""
        cdef ConnectionHost host = self.host
        cdef Leftover* leftover
        cdef Session session
        cdef Py_ssize_t used
        cdef double started = 0
        self.in_process_input = True
        try:
            while True:
                # The variable keeps a session that run() replaces.
                session = self.session
                session.run()
                session = self.session
                leftover = self.leftover
                if self.closing or self.fd < 0 or leftover == NULL or not session.wants_input():
                    break
                # One client with many requests at once does not keep the others waiting.
                if started == 0:
                    started = monotonic()
                elif monotonic() - started > TURN_SECONDS:
                    host.schedule_resume(self)
                    break
                host.parsing = True
                try:
                    used = session.received(leftover.data + leftover.start, leftover.end - leftover.start)
                finally:
                    host.parsing = False
                if used == 0:
                    break
                self.pipelined = True
                leftover.start += <int>used
                if leftover.start == leftover.end:
                    drop_leftover(self)
        finally:
            self.in_process_input = False
        if self.fd < 0:
            return 0
        return self.end_process_input()

    cdef int end_process_input(self) except -1:
        cdef Output out = self.out
        cdef bint blocked_before = self.leftover != NULL and not self.session.wants_input()
        cdef SendTime when = self.session.send_time()
        if not self.closing and when == SEND_AFTER_TASKS:
            # Applications were scheduled on the loop: resume() follows after them. Queued output may then be sent
            # together with theirs.
            self.host.schedule_resume(self)
            if out is not None and out.size >= COALESCE_BYTES and not self.blocked:
                self.flush()
        elif out is not None and not self.blocked:
            if when != SEND_AFTER_BATCH or not self.host.send_queue.add(self):
                self.flush()
        if self.fd < 0:
            return 0
        if self.closing and not self.lingering and self.out is None:
            return self.linger()
        if blocked_before and self.session.wants_input():
            # The output that was just sent was the only obstacle to reading the next requests.
            self.host.schedule_resume(self)
        if self.fin_seen and not self.closing:
            # Each exchange is notified; the last one also that a remaining incomplete request stays incomplete.
            # (While a resume() is scheduled, the leftovers are not parsed yet.)
            self.session.on_peer_finished(
                not self.eof
                or self.leftover != NULL and (self.resume_scheduled or not self.session.wants_input())
            )
        return self.update() if self.fd >= 0 else 0

    cdef int discard(self) except -1:
        """Discards input of a closing connection, so that no reset destroys the response.

        The reactor limits the rate: clients that send without end must not take the others' time. MSG_TRUNC has TCP
        discard the bytes without a copy.
        """
        cdef double now
        cdef Py_ssize_t share
        cdef ssize_t n
        if self.host.parsing:
            return 0
        now = monotonic()
        share = min(self.host.lingering.share(now), self.host.receive_size)
        if share == 0:
            self.throttled = True
            return self.update()
        n = recv(self.fd, self.host.receive_buffer, share, MSG_TRUNC)
        if n < 0:
            return 0 if errno == EAGAIN or errno == EINTR else self.close()
        if n == 0:
            self.eof = self.fin_seen = True
            # The response is still being sent, unless this is a lingering close.
            return self.close() if self.lingering else self.update()
        if self.lingering:
            self.host.lingering.note_input(self.id, n, now)
        return 0

    # ---------------------------------------------------------------- writing

    cdef int flush(self) except -1:
        """Sends as much queued output as the socket takes. May close the connection."""
        cdef Output out
        cdef iovec vector[MAX_IOVECS]
        cdef msghdr message
        cdef ssize_t n
        cdef Py_ssize_t total = 0
        cdef int pieces, flags
        if self.fd < 0:
            return 0
        out = self.out
        if out is None:
            if self.filter is not None:
                self.filter.flush(self.fd)
            return 0
        memset(&message, 0, sizeof(message))
        while out.size and total < TURN_BYTES:
            pieces = out.pieces(vector, MAX_IOVECS)
            # The file that follows them fills up their last packet.
            flags = MSG_NOSIGNAL | MSG_MORE if out.files else MSG_NOSIGNAL
            if pieces == 0:
                n = send_file(self, out, TURN_BYTES - total)
                if n == 0 and self.fd < 0:
                    return 0
            elif self.filter is not None:
                n = self.filter.send(self.fd, vector, pieces)
                if n < 0:
                    return self.close()
                if n == 0:
                    break
            elif pieces == 1:
                n = send(self.fd, vector[0].iov_base, vector[0].iov_len, flags)
            else:
                message.msg_iov = vector
                message.msg_iovlen = pieces
                n = sendmsg(self.fd, &message, flags)
            if n < 0:
                if errno == EINTR:
                    continue
                if errno == EAGAIN:
                    break
                return read_rest(self) if self.session.outlives_peer() and not self.closing else self.close()
            if pieces:
                out.sent(n)
            total += n
            self.taken += n
        if out.size == 0:
            return self.on_output_drained()
        if total:
            self.session.on_output_taken()
        if total or not self.blocked:
            limit_output_time(self)
        self.blocked = True
        if out.size <= LOW_WATERMARK_BYTES:
            self.session.on_writable()
        return self.update()

    cdef int on_output_drained(self) except -1:
        """Returns the output to the pool after its last byte was sent."""
        cdef bint waited = self.blocked
        release_output(self, self.host.pool)
        self.blocked = False
        # A waiting application may have queued new output during this call.
        self.session.on_writable()
        if self.closing:
            return 0 if self.in_process_input else self.linger()
        self.pipelined = False
        if waited and not self.in_process_input:
            if self.leftover != NULL:
                # Requests were not read while the client did not take its responses.
                self.host.schedule_resume(self)
            self.update()
        return 0

    cdef int limit_unsent(self) except -1:
        cdef int size = UNSENT_BYTES
        # A Unix socket does not have the option, and its buffer is small.
        setsockopt(self.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &size, sizeof(size))
        return 0

    cdef int resume_soon(self) except -1:
        # process_input() on the stack continues and flushes at its end.
        return self.host.schedule_resume(self) if self.fd >= 0 and not self.in_process_input else 0

    cdef int resume(self) except -1:
        """Continues after the loop's callbacks: applications have run and are perhaps suspended."""
        self.resume_scheduled = False
        if self.fd < 0 or self.in_process_input:
            return 0
        self.session.flush_deferred()
        if self.leftover != NULL and self.session.wants_input() and not self.closing:
            return self.process_input()
        return self.end_process_input()

    cdef double input_received_at(self) noexcept:
        return input_time(self.fd)

    cdef BodyInput lend_input(self):
        # A filter decodes, which only this side may do. Leftovers precede the bytes in the socket.
        if self.fd < 0 or self.eof or self.filter is not None or self.leftover != NULL:
            return None
        return body_socket(self.fd)

    cdef int reconsider(self) except -1:
        return self.update() if self.fd >= 0 and not self.in_process_input else 0

    # ---------------------------------------------------------------- closing

    cdef int switch_session(self, Session session) except -1:
        # read() and process_input() keep the one before while it is on the stack.
        self.session_switched = True
        self.session = session
        return 0

    cdef int end_output(self) except -1:
        if self.fd < 0 or self.closing:
            return 0
        release_output(self, self.host.pool)
        self.blocked = False
        shutdown(self.fd, SHUT_WR)
        return self.reconsider()

    cdef int finish(self) except -1:
        if self.fd < 0 or self.closing:
            return 0
        self.closing = True
        if self.blocked and self.out.deadline == 0:
            # A session may limit the time of its last output alone.
            limit_output_time(self)
        if self.in_process_input:
            return 0
        self.flush()
        if self.fd >= 0 and not self.lingering and self.out is None:
            return self.linger()
        return 0

    cdef int close_without_lingering(self) except -1:
        return self.close() if self.fd >= 0 and self.out is None else self.finish()

    cdef bint is_busy(self) noexcept:
        if self.fd < 0 or self.lingering:
            return False
        if self.closing:
            return self.out is not None
        return self.session.is_busy()

    cdef int linger(self) except -1:
        """Half-closes, then discards input until the client closes, too (RFC 9112 section 9.6).

        With everything received and nothing expected there is nothing to lose: then it closes at once, as nginx does.
        """
        cdef bint expected = self.leftover != NULL or self.pipelined
        if self.lingering or self.fd < 0:
            return 0
        drop_leftover(self)
        if self.filter is not None:
            self.filter.finish(self.fd)
        if self.eof or not (expected or self.session.expects_input() or has_input(self.fd)):
            return self.close()
        self.lingering = True
        shutdown(self.fd, SHUT_WR)
        self.host.lingering.add(self.id, self)
        return self.update()

    cdef int abort(self) except -1:
        cdef linger_option reset = linger_option(l_onoff=1, l_linger=0)
        if self.fd >= 0:
            setsockopt(self.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset))
            self.resetting = True
            return self.close()
        return 0

    cdef int close(self) except -1:
        cdef int fd = self.fd
        if fd < 0:
            return 0
        self.fd = -1
        try:
            self.host.remove(self, fd)
        finally:
            if not self.resetting:
                # A fork's copy of the socket must not keep the connection open.
                shutdown(fd, SHUT_RDWR)
            c_close(fd)
        return self.release()

    cdef int close_in_child(self) except -1:
        """Closes the descriptor in a forked child: the socket and its place in the poll set stay the parent's."""
        if self.fd < 0:
            return 0
        c_close(self.fd)
        self.fd = -1
        return self.release()

    cdef int release(self) except -1:
        """Notifies the session of the loss, and returns unsent output to the pool. The session object itself stays."""
        try:
            self.session.on_connection_lost()
        finally:
            release_output(self, self.host.pool)
            if self.filter is not None:
                self.filter.release()
        return 0

    # ---------------------------------------------------------------- bookkeeping

    cdef int update(self) except -1:
        """Adjusts the watched events to the state, and schedules the next deadline."""
        cdef unsigned int events = 0
        cdef double deadline
        cdef double write_deadline = 0 if self.out is None else self.out.deadline
        cdef bint waits_for_socket = self.blocked or self.filter is not None and self.filter.unsent is not None
        if self.closing:
            # Input is discarded while the response is sent, too: some clients send a whole body before they read.
            if not self.eof and not self.throttled:
                events = READABLE
            if waits_for_socket:
                events |= WRITABLE
            deadline = self.host.lingering.deadline(self.id, self.session) if self.lingering else write_deadline
            if self.throttled:
                deadline = monotonic() + THROTTLE_SECONDS
        else:
            if self.may_read():
                self.unread = False
                events = READABLE
            elif not self.unread and not self.eof:
                # Not wanted, but not received either: clients usually wait, and changing the watch costs a call.
                events = self.events & READABLE
            if not self.fin_seen:
                events |= PEER_FINISHED
            if waits_for_socket:
                events |= WRITABLE
            deadline = self.session.read_deadline()
            if write_deadline and (deadline == 0 or write_deadline < deadline):
                deadline = write_deadline
        if events != self.events:
            self.host.watch(self, events)
        # The wheel keeps the earliest time that was scheduled; on_timer() then checks the true deadline.
        if deadline and (self.deadline == 0 or deadline < self.deadline):
            self.deadline = deadline
            self.host.schedule(self, deadline)
        return 0


cdef ssize_t send_file(Connection connection, Output out, Py_ssize_t max_bytes) except? -2:
    """Sends from the next queued file. Returns the bytes sent, or -1 with errno like send().

    SIGPIPE, for which sendfile() has no flag, is ignored by every Python process.
    """
    cdef FileRange file = out.file()
    cdef off_t offset = file.offset
    cdef ssize_t n = -1
    if connection.filter is None:
        n = sendfile(connection.fd, file.fd, &offset, min(<long long>max_bytes, file.left))
        if n > 0:
            file.offset += n
            file.left -= n
            out.file_sent(n)
            return n
        if n < 0 and errno in (EAGAIN, EINTR, EPIPE, ECONNRESET):
            return -1
    # For a filter, and on file systems that do not support sendfile(), the file is read and sent as bytes.
    if n == 0 or not out.load_file():
        logger.error("file shrank or became unreadable while being sent; connection reset")
        # A reset, so that the client cannot mistake the truncated body for a complete one.
        connection.abort()
    return 0


cdef int limit_output_time(Connection connection) except -1:
    """The peer has this long to take some of the output."""
    cdef double seconds = connection.session.write_timeout()
    if connection.out is not None:
        connection.out.deadline = monotonic() + seconds if seconds else 0
    return 0


cdef bint output_expired(Connection connection, double now) noexcept:
    return connection.out is not None and connection.out.deadline != 0 and now >= connection.out.deadline


cdef int keep_leftover(Connection connection, const char* data, Py_ssize_t size) except -1:
    """Copies bytes that the codec did not consume; `leftover` is NULL at this moment."""
    cdef Leftover* leftover = <Leftover*>malloc(sizeof(Leftover) + size)
    if leftover == NULL:
        raise MemoryError
    memcpy(leftover.data, data, size)
    leftover.start = 0
    leftover.end = <int>size
    connection.leftover = leftover
    return 0


cdef void drop_leftover(Connection connection) noexcept:
    free(connection.leftover)
    connection.leftover = NULL


cdef bint has_input(int fd) noexcept:
    """Whether bytes wait in the socket: closing it would send RST in place of FIN."""
    cdef char byte
    return recv(fd, &byte, 1, MSG_PEEK) > 0
