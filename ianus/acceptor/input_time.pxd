"""The time at which the kernel has received the last bytes of a connection."""

# CLOCK_MONOTONIC seconds, as far as the kernel knows it; else now.
cdef double input_time(int fd) noexcept
