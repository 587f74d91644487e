"""Reserves file descriptors for the application.

Facts: idle connections can take all descriptors that a process may have. Then the application cannot open a file, or
connect to its database (EMFILE). The kernel always gives the lowest free number, so a connection with the last number
below the reserve shows that all lower numbers are taken, without counting. They may be the application's own.

Strategy: as long as that has not happened, a connection costs one comparison. From then on, until a quarter of the
connections has ended, the lowest free number is asked for before each accept(). As many connections as the reserve has
descriptors are accepted in any case: an application that has opened more files than the reserve must still be served.
"""
import resource

from ianus.acceptor.socket_api cimport F_DUPFD_CLOEXEC, c_close, fcntl

from ianus.telemetry.logger import logger


cdef enum:
    MAX_RESERVE = 256

cdef double REPORT_SECONDS = 60.0   # between two messages


cdef class FileReserve:
    """Reserves a quarter of the descriptors that this process may have, but at most MAX_RESERVE."""

    def __init__(self):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit != resource.RLIM_INFINITY:
            self.size = <int>min(limit // 4, MAX_RESERVE)
            # Descriptors below this number are for connections. The bound keeps a huge limit within an int.
            self.first = <int>min(limit - self.size, 1 << 30)

    cdef int note(self, int fd, int connections) noexcept:
        # The descriptor before the reserve, not the first one in it: the reserve must still be whole at that moment.
        if self.first and fd >= self.first - 1 and not self.is_short:
            self.is_short = True
            self.connections_at_limit = connections
        return 0

    cdef bint admits(self, int any_fd, int connections) noexcept:
        cdef int fd
        # The second condition: the application may hold all descriptors below the reserve itself.
        if not self.is_short or connections < self.size:
            return True
        # Duplicating asks the kernel for the lowest free number. Without one (EMFILE) nothing is admitted.
        fd = fcntl(any_fd, F_DUPFD_CLOEXEC, 0)
        if fd >= 0:
            c_close(fd)
            if fd < self.first:
                # Not at the first free number, or each accept would switch between the two states.
                if connections <= self.connections_at_limit * 3 // 4:
                    self.is_short = False
                return True
        return False

    cdef bint has_free(self, int any_fd) noexcept:
        cdef int fd = fcntl(any_fd, F_DUPFD_CLOEXEC, 0)
        if fd >= 0:
            c_close(fd)
        return fd >= 0

    cdef int report_shortage(self, int connections, double now) except -1:
        if self.reported == 0 or now - self.reported > REPORT_SECONDS:
            self.reported = now
            logger.error(
                "cannot accept more connections: open files: %d, connections: %d; the other descriptors are reserved "
                "for the application; raise the limit of open files (ulimit -n), or set --limit-connections",
                self.first, connections,
            )
        return 0
