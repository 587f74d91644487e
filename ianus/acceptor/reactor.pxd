"""The reactor: one epoll instance with all client sockets, watched by an event loop or blocking by itself."""
from ianus.acceptor.addresses cimport Addresses
from ianus.acceptor.connection cimport Connection, ConnectionHost
from ianus.acceptor.file_reserve cimport FileReserve
from ianus.acceptor.socket_api cimport epoll_event, sockaddr_storage
from ianus.acceptor.timer cimport TimerWheel
from ianus.exchange.base cimport SessionFactory
from ianus.runtime.waker cimport Waker


cdef enum:
    BATCH_EVENTS = 256      # events taken from epoll at a time


cdef class WatchedListener:
    """A listening socket in the reactor."""
    cdef object sock                # keeps the fd open; its owner closes it
    cdef int fd
    cdef SessionFactory sessions
    cdef object server              # its address, or None when it must be asked of each connection
    cdef bint watched


cdef class Reactor(ConnectionHost):
    cdef object __weakref__         # for the fork handler, which lives as long as the process
    cdef SessionFactory sessions
    cdef int epoll, timer           # fds, owned; -1 once closed
    cdef readonly Waker waker
    cdef TimerWheel wheel
    cdef double timer_at            # when the timer is set to fire, 0 = not set
    cdef bint timer_due
    cdef bint expiry_deferred       # expiry was deferred once, because the loop had been blocked

    # The current batch; here and not on the stack, so that a nested call continues at its index
    cdef epoll_event[BATCH_EVENTS] batch
    cdef int index, ready

    # An event names a connection's id and generation: one with an outdated generation is stale and dropped
    cdef list connections_by_id     # Connection or None
    cdef list free_ids
    cdef list closed                # connections closed in this turn: methods of theirs may be on the stack
    cdef unsigned int generation
    cdef readonly int connections
    cdef int limit_connections
    cdef FileReserve reserve
    cdef list listeners
    cdef double resume_accept_at    # accepting is suspended until then, 0 = not suspended
    cdef bint accept_failure_logged  # once for each shortage
    cdef Addresses addresses

    cdef list waiting               # connections that resume_all() is to resume
    cdef bint resuming              # resume_all() is scheduled
    cdef list after_tasks           # connections to resume after the first steps of tasks that this turn has started
    cdef bint dispatching           # a turn is on the stack, which will schedule after_tasks
    cdef object loop
    cdef object call_soon           # in the context that attach() was called in, never a request's
    cdef object drained             # callback of drain(), when the last connection has gone

    cdef int close_fds(self) noexcept
    cdef int dispatch_event(self, epoll_event* event) except -1
    cdef int run_turn(self, int milliseconds) except -1
    cdef int handle_event(self, epoll_event* event) except -1
    cdef int dispatch_batch(self) except -1
    cdef int resume(self, list connections) except -1
    cdef int schedule_after_tasks(self) except -1
    cdef int expire_deadlines(self) except -1
    cdef int arm(self) except -1
    cdef int set_timer(self, double when) except -1
    cdef int accept(self, WatchedListener listener) except -1
    cdef int open_accepted(self, WatchedListener listener, int fd, sockaddr_storage* address) except -1
    cdef int set_up_connection(
        self, Connection connection, WatchedListener listener, int fd, sockaddr_storage* address
    ) except -1
    cdef int pause_for_files(self) except -1
    cdef int pause_accepting(self) except -1
    cdef int resume_accepting(self) except -1
    cdef int watch_listener(self, WatchedListener listener, bint watched) except -1
