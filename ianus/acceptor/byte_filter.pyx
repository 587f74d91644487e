"""The base of filters: the buffers between a filter and the socket.

Rules:
- Output counts as sent once the socket has taken all bytes that it was encoded into. So the connection's own rules for
  slow clients, deadlines and the access log hold with a filter as without.
- At most ENCODE_BYTES of output are encoded ahead of the socket.
- A receive reads no more than fits into the connection's buffer after decoding, with the part of a record that the
  filter has kept. So no decoded byte waits inside the filter, since no event would ever announce it.
- A peer that requests answers of the filter, such as new keys of TLS, and does not read them is not read either.
- Encoded bytes are sent from a buffer of the factory. Only those that the socket does not take are copied, so an idle
  connection, and one whose client reads, has no buffer here.

Compiled because every request over TLS passes here: 200 instructions for ASGI hello.
"""
cimport cython

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from ianus.acceptor.socket_api cimport MSG_NOSIGNAL, msghdr, recv, send as send_bytes, sendmsg
from ianus.codec.output cimport Output, OutputPool, iovec
from ianus.exchange.base cimport Session, SessionFactory, Transport


cdef enum:
    MAX_IOVECS = 16
    RECEIVE_BYTES = 65536
    # Of encoded bytes: those of ENCODE_BYTES in four records of 16 KiB, with space for their headers and for an answer
    # of the filter's own. Longer ones are rare, and grow the buffer.
    ENCODED_BUFFER_BYTES = ENCODE_BYTES + 4096
    # More than output makes: the peer requests answers of the filter, and does not read them.
    MAX_UNSENT_BYTES = 2 * ENCODE_BYTES


cdef int append_encoded(EncodedBytes* encoded, const char* data, Py_ssize_t size) noexcept:
    cdef Py_ssize_t capacity = encoded.capacity
    cdef char* memory
    if size > capacity - encoded.size:
        capacity = max(2 * capacity, encoded.size + size)
        memory = <char*>realloc(encoded.data, capacity)
        if memory == NULL:
            return -1
        encoded.data = memory
        encoded.capacity = capacity
    memcpy(encoded.data + encoded.size, data, size)
    encoded.size += size
    return 0


cdef class ByteFilterFactory:
    def __cinit__(self):
        self.size = RECEIVE_BYTES
        self.pool = OutputPool()
        # One buffer for all connections of the listeners: a call fills and empties it, so nothing waits in it.
        self.buffer = <char*>malloc(self.size)
        self.encoded.data = <char*>malloc(ENCODED_BUFFER_BYTES)
        if self.buffer == NULL or self.encoded.data == NULL:
            raise MemoryError
        self.encoded.capacity = ENCODED_BUFFER_BYTES

    def __dealloc__(self):
        # Each filter has a reference to its factory, so none uses them any more.
        free(self.buffer)
        free(self.encoded.data)

    cdef ByteFilter create(self):
        raise NotImplementedError

    cdef Session create_session(self, Transport transport, ByteFilter created, SessionFactory sessions):
        return sessions.create(transport)

    cdef bint may_accept(self) noexcept:
        return True

    cdef int reset_in_child(self) except -1:
        return 0


@cython.no_gc
cdef class ByteFilter:
    cdef Py_ssize_t receive(self, int fd, char* target, Py_ssize_t space) except? -3:
        cdef ByteFilterFactory factory = self.factory
        cdef Py_ssize_t size = min(factory.size, space - self.max_kept_bytes)
        cdef Py_ssize_t decoded
        cdef ssize_t n
        if self.ended:
            return 0
        # No space for a whole record. The connection receives again when its buffer is consumed.
        if size <= 0:
            return NOTHING_RECEIVED
        while True:
            # Once: a level-triggered driver reports the rest again.
            n = recv(fd, factory.buffer, size, 0)
            if n >= 0 or errno != EINTR:
                break
        if n < 0:
            if errno == EAGAIN:
                return NOTHING_RECEIVED
            self.failed = True
            return FILTER_FAILED
        # The end of the socket. Only `ended` shows that the peer has ended its bytes by the protocol.
        if n == 0:
            return 0
        decoded = self.decode(factory.buffer, n, target, space)
        # An alert of a failed handshake has to be sent, too.
        if factory.encoded.size:
            self.flush(fd)
        if decoded == 0 and not self.ended:
            return NOTHING_RECEIVED
        return decoded

    cdef Py_ssize_t send(self, int fd, const iovec* pieces, int count) except? -2:
        cdef Py_ssize_t taken
        # Not before all that was encoded is sent: the same pieces are passed until they count as sent.
        if self.unsent is None or self.send_unsent(fd):
            if self.encoded_from == 0:
                # The rest follows when this is sent, so a slow client holds at most this much twice.
                self.encoded_from = self.encode(pieces, count)
            self.flush(fd)
        if self.unsent is not None or self.failed:
            return -1 if self.failed else 0
        taken = self.encoded_from
        # Only now the connection may release the pieces: they count as sent as a whole.
        self.encoded_from = 0
        return taken

    cdef bint flush(self, int fd) except -1:
        cdef EncodedBytes* encoded = &self.factory.encoded
        cdef Py_ssize_t size = encoded.size
        cdef ssize_t n = 0
        if self.unsent is not None:
            # The order of the bytes is the filter's: the rest of earlier ones is sent first.
            self.keep_unsent(encoded.data, size)
            return self.send_unsent(fd)
        if size == 0:
            return True
        encoded.size = 0
        while True:
            n = send_bytes(fd, encoded.data, size, MSG_NOSIGNAL)
            if n >= 0 or errno != EINTR:
                break
        if n == size:
            return True
        if n < 0:
            # Reported by the next send(), since a receive may also end up here.
            self.failed = errno != EAGAIN
            n = 0
        self.keep_unsent(encoded.data + n, size - n)
        return False

    cdef int keep_unsent(self, const char* data, Py_ssize_t size) except -1:
        # An idle connection has no output of its filter either.
        if size and self.unsent is None:
            self.unsent = self.factory.pool.acquire()
        self.factory.encoded.size = 0
        return self.unsent.write(data, size) if size else 0

    cdef bint send_unsent(self, int fd) except -1:
        """Sends bytes that the socket has not taken before. Returns whether none is left."""
        cdef Output out = self.unsent
        cdef iovec vector[MAX_IOVECS]
        cdef msghdr message
        cdef ssize_t n
        memset(&message, 0, sizeof(message))
        message.msg_iov = vector
        while out.size:
            message.msg_iovlen = out.pieces(vector, MAX_IOVECS)
            n = sendmsg(fd, &message, MSG_NOSIGNAL)
            if n < 0:
                if errno == EINTR:
                    continue
                self.failed = errno != EAGAIN
                return False
            out.sent(n)
        # One owner at a time: the filter, then the pool.
        self.unsent = None
        self.factory.pool.release(out)
        return True

    cdef int finish(self, int fd) except -1:
        self.encode_end()
        self.flush(fd)
        return 0

    cdef bint is_congested(self) noexcept:
        return self.unsent is not None and self.unsent.size > MAX_UNSENT_BYTES

    cdef int release(self) except -1:
        cdef Output out = self.unsent
        if out is not None:
            self.unsent = None
            self.factory.pool.release(out)
        return 0

    cdef Py_ssize_t decode(self, const char* data, Py_ssize_t size, char* target, Py_ssize_t space) except? -3:
        raise NotImplementedError

    cdef Py_ssize_t encode(self, const iovec* pieces, int count) except -1:
        raise NotImplementedError

    cdef int encode_end(self) except -1:
        raise NotImplementedError
