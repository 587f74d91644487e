"""Reads a request body from the socket while it arrives.

The application's thread receives into the application's own buffer: no other thread is woken, and no byte is copied in
between. If nothing is there, it waits for the socket, within the limits for slow clients.

Rules:
- The end of a body is its declared length. A connection that ends before raises an error, never the end of the file.
- The GIL is held from the check that the call still runs to the end of recv(). So another thread of the application
  cannot take bytes of the next request.

Compiled because the exchange owns it, and the thread receives into memory of the application.
"""
import io

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from ianus.exchange.base cimport BodyInput
from ianus.exchange.service cimport Service
from ianus.gateway.wsgi.outbox cimport Outbox
from ianus.runtime.clock cimport monotonic

from ianus.exchange.disconnect import ClientDisconnected


cdef enum:
    MAX_RECEIVE_BYTES = 262144  # received at once, since the GIL is held
    BUFFER_BYTES = 32768        # of lines and small reads; larger ones go into the buffer of the application

# A wait is interrupted this often to see whether the server stops, or the connection was closed.
cdef double WAIT_SECONDS = 0.25


class BodyFile(io.RawIOBase):
    """The raw file below `wsgi.input`."""

    def __init__(self, ArrivingBody body not None):
        # In place of methods: BufferedReader calls those of the body.
        self.readinto = body.readinto
        self.readall = body.readall

    def readable(self) -> bool:
        return True


cdef ArrivingBody arriving_body(
    BodyInput source, Service service, Outbox call, bytes first, long long left, double seconds
):
    cdef ArrivingBody body = ArrivingBody.__new__(ArrivingBody)
    body.source = source
    body.service = service
    body.call = call
    body.first = first
    body.left = left
    body.waited = seconds
    return body


cdef class ArrivingBody:
    cdef object open(self):
        # Its lock has several threads of an application read one after the other.
        return io.BufferedReader(BodyFile(self), BUFFER_BYTES)

    cdef int close(self) except -1:
        self.source = None
        self.call = None
        return 0

    def readinto(self, buffer) -> int:
        """Reads at least one byte, unless the body has ended. Returns the number."""
        cdef Py_ssize_t done = 0, received
        cdef Py_buffer view     # owned until it is released below
        PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
        try:
            while done < view.len:
                received = self.read_some(<char*>view.buf + done, view.len - done)
                done += received
                # A large read is filled. Otherwise BufferedReader would read its rest, and a part of each following
                # one, through its own buffer.
                if view.len <= BUFFER_BYTES or received == 0:
                    break
            return done
        finally:
            PyBuffer_Release(&view)

    def readall(self) -> bytes:
        """Reads the rest of the body."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(self.first) - self.first_read + <Py_ssize_t>self.left, done = 0
        # The memory is used as the bytes arrive: the kernel gives pages when they are written.
        cdef bytes data = PyBytes_FromStringAndSize(NULL, size)
        while done < size:
            # No other code has the object yet.
            done += self.read_some(PyBytes_AS_STRING(data) + done, size - done)
        return data

    cdef Py_ssize_t read_some(self, char* buffer, Py_ssize_t size) except -1:
        cdef BodyInput source
        cdef Py_ssize_t received
        self.check_open()
        if self.first_read < PyBytes_GET_SIZE(self.first):
            size = min(size, PyBytes_GET_SIZE(self.first) - self.first_read)
            memcpy(buffer, PyBytes_AS_STRING(self.first) + self.first_read, size)
            self.first_read += size
            return size
        size = min(size, <Py_ssize_t>MAX_RECEIVE_BYTES)
        while True:
            # Checked before each recv(): another thread of the application may have read during the wait.
            self.check_open()
            source = self.source
            if size > self.left:
                # Bytes after the body are the next request's.
                size = <Py_ssize_t>self.left
            if size == 0:
                return 0
            if self.service.forked:
                raise RuntimeError("the request body was read in a forked child; the parent reads the connection")
            if self.cut or self.expired or self.call.disconnected:
                raise ClientDisconnected
            received = source.receive(buffer, size)
            if received > 0:
                self.left -= received
                self.received += received
                if received == MAX_RECEIVE_BYTES:
                    # A long read lets other threads run.
                    with nogil:
                        pass
                return received
            if received != -1:
                # RFC 9112 section 8: the body is incomplete, which must not look like its end.
                raise ClientDisconnected
            self.wait(source)

    cdef int check_open(self) except -1:
        if self.source is None:
            raise ValueError("the request body was read after the call of the application had returned")
        return 0

    cdef int wait(self, BodyInput source) except -1:
        """Waits for the client, within its limits."""
        cdef double started = monotonic(), now = started, deadline, seconds
        cdef long long arrived = PyBytes_GET_SIZE(self.first) + self.received
        cdef bint ready = False
        while not ready and self.source is not None and not self.cut and not self.call.disconnected:
            # Its time counts only while it is waited for. Computed again, as a stop may have started.
            deadline = self.service.body_deadline(started - self.waited, started, arrived, True)
            if deadline and now >= deadline:
                return self.expire()
            seconds = min(WAIT_SECONDS, deadline - now) if deadline else WAIT_SECONDS
            with nogil:
                ready = source.wait(seconds) != 0
            now = monotonic()
        self.waited += now - started
        return 0

    cdef int expire(self) except -1:
        """Has the connection's side answer for the application."""
        cdef Outbox call = self.call
        if call is None:
            # The call has returned while another thread of the application waited.
            return 0
        self.expired = True
        call.executor.lock()
        try:
            call.executor.notify_outbox(call)
        finally:
            call.executor.unlock()
        raise ClientDisconnected
