"""Asks the kernel for the time at which it has received the last bytes of a TCP connection.

Compiled because connections call it, for the queue time of a request.
"""
from ianus.acceptor.socket_api cimport IPPROTO_TCP, TCP_INFO, getsockopt, socklen_t, tcp_info
from ianus.runtime.clock cimport monotonic


cdef enum:
    TICK_MILLISECONDS = 10  # maximum tick of the kernel's clock for TCP_INFO (HZ = 100)


cdef double input_time(int fd) noexcept:
    cdef tcp_info info
    cdef socklen_t size = sizeof(info)
    cdef double now = monotonic()
    # A system without this member does not set it.
    info.tcpi_last_data_recv = 0
    # A Unix socket has no such option.
    if getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0:
        return now
    # Within a tick of the kernel's clock, the first byte may have been received at any time.
    if info.tcpi_last_data_recv < TICK_MILLISECONDS:
        return now
    return now - info.tcpi_last_data_recv * 1e-3
