"""The base of filters: the buffers between a filter and the socket.

Rules:
- Output counts as sent once the socket has taken all bytes that it was encoded into. So the connection's own rules for
  slow clients, deadlines and the access log hold with a filter as without.
- At most ENCODE_BYTES of output are encoded ahead of the socket.
- A receive reads no more than fits into the connection's buffer after decoding, with the part of a record that the
  filter has kept. So no decoded byte waits inside the filter, since no event would ever announce it.

Compiled because connections call it.
"""
cimport cython

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from ianus.acceptor.socket_api cimport MSG_NOSIGNAL, msghdr, recv, sendmsg
from ianus.codec.output cimport Output, OutputPool, iovec


cdef enum:
    ENCODE_BYTES = 65536    # bytes of output that are encoded for one send
    MAX_IOVECS = 16


cdef class ByteFilterFactory:
    def __cinit__(self):
        self.size = ENCODE_BYTES
        self.pool = OutputPool()
        # One buffer for all connections of the listeners: a call fills and empties it, so nothing waits in it.
        self.buffer = <char*>malloc(self.size)
        if self.buffer == NULL:
            raise MemoryError

    def __dealloc__(self):
        # Each filter has a reference to its factory, so none uses it any more.
        free(self.buffer)

    cdef ByteFilter create(self):
        raise NotImplementedError


@cython.no_gc
cdef class ByteFilter:
    cdef Output output(self):
        # An idle connection has no output of its filter either.
        if self.encoded is None:
            self.encoded = self.factory.pool.acquire()
        return self.encoded

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
            return NOTHING_RECEIVED if errno == EAGAIN else FILTER_FAILED
        # The end of the socket. Only `ended` shows that the peer has ended its bytes by the protocol.
        if n == 0:
            return 0
        decoded = self.decode(factory.buffer, n, target, space)
        # An alert of a failed handshake has to be sent, too.
        self.flush(fd)
        if decoded == 0 and not self.ended:
            return NOTHING_RECEIVED
        return decoded

    cdef Py_ssize_t send(self, int fd, const iovec* pieces, int count) except? -2:
        cdef Py_ssize_t taken, part
        cdef int index
        # Not before all that was encoded is sent: the same pieces are passed until they count as sent.
        if self.flush(fd) and self.encoded_from == 0:
            for index in range(count):
                part = min(<Py_ssize_t>pieces[index].iov_len, ENCODE_BYTES - self.encoded_from)
                self.encode(<const char*>pieces[index].iov_base, part, self.output())
                self.encoded_from += part
                # The rest follows when this is sent, so a slow client holds at most this much twice.
                if self.encoded_from == ENCODE_BYTES:
                    break
            self.flush(fd)
        if self.encoded is not None:
            return -1 if self.failed else 0
        taken = self.encoded_from
        # Only now the connection may release the pieces: they count as sent as a whole.
        self.encoded_from = 0
        return taken

    cdef bint flush(self, int fd) except -1:
        cdef Output out = self.encoded
        cdef iovec vector[MAX_IOVECS]
        cdef msghdr message
        cdef ssize_t n
        if out is None:
            return True
        memset(&message, 0, sizeof(message))
        message.msg_iov = vector
        # The order of the bytes is the filter's: after a partial send the rest must follow, and nothing else.
        while out.size:
            message.msg_iovlen = out.pieces(vector, MAX_IOVECS)
            n = sendmsg(fd, &message, MSG_NOSIGNAL)
            if n < 0:
                if errno == EINTR:
                    continue
                # Reported by the next send(), since a receive may also end up here.
                self.failed = errno != EAGAIN
                return False
            out.sent(n)
        # One owner at a time: the filter, then the pool.
        self.encoded = None
        self.factory.pool.release(out)
        return True

    cdef int finish(self, int fd) except -1:
        self.encode_end(self.output())
        self.flush(fd)
        return 0

    cdef int release(self) except -1:
        cdef Output out = self.encoded
        if out is not None:
            self.encoded = None
            self.factory.pool.release(out)
        return 0

    cdef Py_ssize_t decode(self, const char* data, Py_ssize_t size, char* target, Py_ssize_t space) except? -3:
        raise NotImplementedError

    cdef int encode(self, const char* data, Py_ssize_t size, Output encoded) except -1:
        raise NotImplementedError

    cdef int encode_end(self, Output encoded) except -1:
        raise NotImplementedError
