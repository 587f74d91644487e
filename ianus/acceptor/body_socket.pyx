"""Reads the body of a request in the thread of its application.

The connection is not read meanwhile, since its session wants no input. When it is closed, it shuts the socket down,
which ends a wait here.

Compiled because connections make it.
"""
from libc.errno cimport EAGAIN, EINTR, errno

from ianus.acceptor.socket_api cimport F_DUPFD_CLOEXEC, POLLIN, c_close, c_poll, fcntl, pollfd, recv
from ianus.exchange.base cimport BodyInput


cdef BodySocket body_socket(int fd):
    cdef BodySocket body
    cdef int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0)
    if copy < 0:
        return None
    body = BodySocket.__new__(BodySocket)
    body.fd = copy
    return body


cdef class BodySocket(BodyInput):
    def __cinit__(self):
        self.fd = -1

    def __dealloc__(self):
        if self.fd >= 0:
            c_close(self.fd)

    cdef Py_ssize_t receive(self, char* buffer, Py_ssize_t size) noexcept nogil:
        cdef ssize_t received
        while True:
            received = recv(self.fd, buffer, size, 0)
            if received >= 0:
                return received
            if errno != EINTR:
                return -1 if errno == EAGAIN else -2

    cdef int wait(self, double seconds) noexcept nogil:
        # Errors and signals end the wait as well; the next receive() shows the reason.
        cdef pollfd watched = pollfd(fd=self.fd, events=POLLIN, revents=0)
        return c_poll(&watched, 1, <int>(seconds * 1000) + 1)
