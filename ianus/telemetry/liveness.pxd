"""A native thread that checks that this process makes progress, and that its supervisor is alive."""
from libc.stdint cimport uint64_t

from ianus.runtime.mapped_memory cimport MappedMemory
from ianus.runtime.waker cimport Waker


cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <math.h>
    #include <poll.h>
    #include <pthread.h>
    #include <signal.h>
    #include <sys/eventfd.h>
    #include <unistd.h>
    """
    ctypedef unsigned long pthread_t
    ctypedef struct pthread_mutex_t:
        pass


cdef enum:
    REPORT_BYTES = 96


# The data of the thread. Owned by the LivenessThread; leaked in a forked child, which cannot use the mutex.
cdef struct LivenessState:
    pthread_mutex_t lock    # guards all fields below; held for moments, never while waiting for the GIL
    bint stopping
    int control             # eventfd, owned; written to when a field below has changed

    # Whether the supervisor is alive
    int lifeline            # the read end of its pipe, borrowed; -1 = there is none, or it has ended
    double quit_after       # seconds from TERM to QUIT, infinite = QUIT is never sent
    double kill_after       # seconds from TERM to KILL
    int next_signal         # the signal to send next, 0 = none ...
    double next_signal_at   # ... and when

    # That this thread runs
    double* heartbeat       # in the LivenessThread's `shared`; NULL = no supervisor reads it
    double next_heartbeat_at  # CLOCK_MONOTONIC seconds of the next one

    # Whether the reactor is served
    int waker               # eventfd, open as long as the LivenessThread has its Waker
    const uint64_t* served  # in the Waker, as the next one; NULL = there is nothing to judge
    const uint64_t* closed
    double ping_interval    # seconds between two pings
    double next_tick_at     # when the next tick is due
    double pinged_at        # the last ping, or the time from which it counts
    bint unanswered         # ... and the reactor has not taken notice of it yet
    uint64_t served_before  # that many wake-ups were served then

    # ... for the supervisor
    double timeout          # seconds without an answer after which the process counts as stuck, 0 = never
    int channel             # borrowed
    char[REPORT_BYTES] report   # the message to it, but for the number of seconds
    bint reported           # this ping was reported as unanswered

    # ... for --watch-loop
    double limit            # seconds without an answer that are reported, 0 = never
    pthread_t thread        # whose stack is asked for,
    int signal              # by this signal,
    int alarm               # and an eventfd that notifies the reporter in the loop; borrowed
    bint loop_blocked       # that was done for this ping
    double loop_blocked_since  # ... and when the last one was sent for which it was


cdef class LivenessThread:
    cdef object __weakref__     # for the fork handler, which lives as long as the process
    cdef LivenessState* state   # owned; NULL in a forked child
    cdef MappedMemory shared    # the memory that `heartbeat` points into
    cdef Waker waker
    cdef pthread_t thread
    cdef bint running           # there is a thread, which has to be joined

    cdef void stop_thread(self) noexcept
