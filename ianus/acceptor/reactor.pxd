"""The reactor: one epoll instance with all client sockets, watched by an event loop or blocking by itself."""
from ianus.acceptor.addresses cimport Addresses
from ianus.acceptor.connection cimport Connection, Owner
from ianus.acceptor.file_reserve cimport FileReserve
from ianus.acceptor.socket_api cimport epoll_event, sockaddr_storage
from ianus.acceptor.timer cimport TimerWheel
from ianus.exchange.base cimport SessionFactory
from ianus.runtime.waker cimport Waker


cdef enum:
    EVENTS = 256            # events taken from epoll at a time


cdef class Acceptor:
    """A listening socket in the reactor."""
    cdef object sock                # keeps the fd open; its owner closes it
    cdef int fd
    cdef SessionFactory sessions
    cdef object server              # its address, or None when it must be asked of each connection
    cdef bint watched


cdef class Reactor(Owner):
    cdef object __weakref__         # for the fork handler, which lives as long as the process
    cdef SessionFactory sessions
    cdef int epoll, timer           # fds, owned; -1 once closed
    cdef readonly Waker waker
    cdef TimerWheel wheel
    cdef double timer_at            # when the timer is set to fire, 0 = not set
    cdef bint timer_due
    cdef bint timer_put_off         # judging was put off once, because the loop had been blocked

    # The batch being worked on; here and not on the stack, so that who comes next goes on where it stopped
    cdef epoll_event[EVENTS] batch
    cdef int index, ready

    # Connections by slot; the generation in an event tells whether it is about the one that is there now
    cdef list slots                 # Connection or None
    cdef list free_slots
    cdef list closed                # connections closed in this turn: methods of theirs may be on the stack
    cdef unsigned int generation
    cdef readonly int connections
    cdef int limit_connections
    cdef FileReserve reserve
    cdef list acceptors
    cdef double accept_again        # accepting is suspended until then, 0 = not suspended
    cdef bint accept_failed         # which was logged
    cdef Addresses addresses

    cdef list waiting               # connections for resume(), listed by applications; resume_all() takes them
    cdef bint resuming              # resume_all() is scheduled
    cdef list behind                # connections for resume() behind the tasks that this turn has started
    cdef bint serving               # a turn is on the stack, which will schedule that
    cdef object loop
    cdef object call_soon           # in the context that attach() was called in, never a request's
    cdef object drained             # callback of drain(), when the last connection has gone

    cdef int close_fds(self) noexcept
    cdef int serve_event(self, epoll_event* event) except -1
    cdef int turn(self, int milliseconds) except -1
    cdef int dispatch(self, epoll_event* event) except -1
    cdef int serve(self) except -1
    cdef int resume(self, list connections) except -1
    cdef int resume_behind(self) except -1
    cdef int judge(self) except -1
    cdef int arm(self) except -1
    cdef int set_timer(self, double when) except -1
    cdef int accept(self, Acceptor acceptor) except -1
    cdef int admit(self, Acceptor acceptor, int fd, sockaddr_storage* address) except -1
    cdef int adopt(self, Connection connection, Acceptor acceptor, int fd, sockaddr_storage* address) except -1
    cdef int pause_for_files(self) except -1
    cdef int pause_accepting(self) except -1
    cdef int resume_accepting(self) except -1
    cdef int watch_acceptor(self, Acceptor acceptor, bint watched) except -1
