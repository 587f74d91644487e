"""A native thread that feels the pulse of this process, and whether its supervisor is still there."""
from libc.stdint cimport uint64_t

from ianus.telemetry.in_flight cimport Shared
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
    COMPLAINT = 96


# What the thread works on. It belongs to the Pulse, and to nobody once the process was forked.
cdef struct Watch:
    pthread_mutex_t lock    # over all that comes below; held for moments, and never by who waits for the GIL
    bint stopping
    int control             # eventfd, owned: what is below has changed

    # Whether the supervisor is there
    int lifeline            # the read end of its pipe, borrowed; -1 = there is none, or it has ended
    double grace            # seconds between TERM and QUIT, 0 = QUIT is never sent
    int urgent              # the signal to send next, 0 = none ...
    double urgent_at        # ... and when

    # That this thread runs
    double* heartbeat       # in the Pulse's `shared`; NULL = nobody listens
    double beats_at         # when it beats next

    # Whether the reactor is served
    int waker               # eventfd, open as long as the Pulse has its Waker
    const uint64_t* served  # in the Waker, as the next one; NULL = there is nothing to judge
    const uint64_t* closed
    double interval         # seconds between two pings
    double planned          # when this thread is to look next
    double pinged_at        # the last ping, or when its time began to count
    bint unanswered         # ... and nobody has taken notice yet
    uint64_t served_before  # that many wake-ups were served then

    # ... for the supervisor
    double timeout          # seconds without an answer behind which nothing will ever answer, 0 = never
    int channel             # borrowed
    char[COMPLAINT] complaint   # what is told it, but for the number of seconds
    bint told               # it was told so of this ping

    # ... for --watch-loop
    double limit            # seconds without an answer that are worth a word, 0 = never
    pthread_t thread        # whose stack is asked for,
    int signal              # by this signal,
    int alarm               # and an eventfd for whoever is to log it; borrowed
    bint caught             # that was done for this ping
    double caught_since     # ... and when the last one was sent for which it was


cdef class Pulse:
    cdef object __weakref__     # for the fork handler, which lives as long as the process
    cdef Watch* watch           # owned; NULL in a forked child
    cdef Shared shared          # what it points to, and the next one
    cdef Waker waker
    cdef pthread_t thread
    cdef bint running           # there is a thread, which has to be joined

    cdef void end(self) noexcept
