"""A native thread that feels the pulse of this process, and whether its supervisor is still there."""


cdef extern from * nogil:
    """
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


cdef class Pulse:
    cdef object __weakref__     # for the fork handler, which lives as long as the process
    cdef Watch* watch           # owned; NULL in a forked child
    cdef pthread_t thread
    cdef bint running           # there is a thread, which has to be joined

    cdef void end(self) noexcept
