"""File descriptors reserved for the application."""


cdef class FileReserve:
    cdef int size                   # descriptors that are the application's, and connections that are always accepted
    cdef int first                  # descriptors from this number on are the application's; 0 = no reserve
    cdef readonly bint is_short     # connections have all the others, or have had
    cdef int connections_at_limit   # number of connections then
    cdef double reported            # when that was logged, 0 = never

    # Called with the descriptor of each new connection, the last one counted in `connections`.
    cdef int note(self, int fd, int connections) noexcept
    # Whether another connection may be accepted; `any_fd` is an open descriptor.
    cdef bint admits(self, int any_fd, int connections) noexcept
    # Whether the process has a descriptor left, the reserve included; else errno has the reason.
    cdef bint has_free(self, int any_fd) noexcept
    cdef int report_shortage(self, int connections, double now) except -1   # once a minute
