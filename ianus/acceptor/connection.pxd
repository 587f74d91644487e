"""One accepted socket: bytes between it and its session."""
cimport cython
from ianus.acceptor.byte_filter cimport ByteFilter
from ianus.acceptor.lingering cimport Lingering
from ianus.acceptor.send_queue cimport SendQueue
from ianus.codec.output cimport Output, OutputPool
from ianus.exchange.base cimport Poller, Session, Transport, flag


cdef class ConnectionHost(Poller):
    """The interface of a reactor for its connections."""
    cdef char* receive_buffer           # shared by all connections, owned by the reactor
    cdef Py_ssize_t receive_size
    # A codec is on the stack and reads the receive buffer or a connection's leftovers: no other code may change them.
    cdef bint parsing
    cdef Lingering lingering
    cdef SendQueue send_queue
    cdef OutputPool pool                # of the queued output

    # Also to be called when a handshake of its filter has started or is complete.
    cdef int watch(self, Connection connection, unsigned int events) except -1
    cdef int schedule(self, Connection connection, double when) except -1
    cdef int schedule_resume(self, Connection connection) except -1
    cdef int remove(self, Connection connection, int fd) except -1


# Bytes received and not consumed: an incomplete line, or requests after the one being answered.
cdef struct Leftover:
    int start, end                      # of them in `data`; never empty
    char[1] data                        # the first one of `end` bytes


# Thousands of them are idle: facts that only a busy or a lingering connection has are elsewhere (Output, Lingering).
@cython.no_gc
cdef class Connection(Transport):
    # Ownership. The ConnectionTable of the reactor owns the connection; it owns its fd.
    cdef ConnectionHost host
    cdef Session session
    cdef ByteFilter filter              # between the socket and the session, or None
    cdef int fd                         # -1 once closed
    cdef int id                         # index in that table
    cdef unsigned int generation        # distinguishes it from an earlier connection with the same id
    cdef unsigned int events            # that it is watched for (acceptor/poll); errors are reported even without any
    cdef Leftover* leftover             # malloc'ed, owned by this object; NULL = none
    cdef double deadline                # when the timer calls on_timer() at the latest, 0 = never

    cdef flag watched                   # it is watched at all
    cdef flag handshaking               # ... among the handshakes, which other connections do not wait for
    cdef flag internal                  # made by this process, and not a client's
    cdef flag in_process_input          # process_input() is on the stack
    cdef flag resume_scheduled          # the reactor will call resume()
    cdef flag eof                       # FIN was read
    cdef flag fin_seen                  # FIN was reported, perhaps after unread bytes
    cdef flag unread                    # bytes wait in the socket that the session cannot take now
    # The response to a request that was received together with the one before it is not sent yet.
    cdef flag pipelined
    cdef flag session_switched          # bytes that an earlier session has read count for all requests
    cdef flag closing                   # to be closed after the queued output is sent; input is discarded
    cdef flag throttled                 # input waits to be discarded when there is a share of it again
    cdef flag resetting                 # to be closed with RST, or without an effect on the peer
    cdef flag lingering                 # our side is shut down, input is discarded until the peer closes

    # From the reactor
    cdef int on_events(self, unsigned int events) except -1
    cdef int on_timer(self, double now) except -1
    cdef int resume(self) except -1             # after the loop's callbacks, as schedule_resume() asked
    cdef int close_in_child(self) except -1     # in the child of a fork: the peer does not notice
    # Reading
    cdef bint may_read(self) noexcept
    cdef int read(self) except -1
    cdef int discard(self) except -1
    cdef int process_input(self) except -1
    cdef int end_process_input(self) except -1
    # Writing
    cdef int on_output_drained(self) except -1
    # Bookkeeping
    cdef bint is_busy(self) noexcept            # a graceful stop has to wait for it
    cdef int update(self) except -1
    cdef int linger(self) except -1
    cdef int release(self) except -1


cdef int open_connection(Connection connection, ConnectionHost host, int fd) except -1
# Copies bytes that the session has not taken. `leftover` is NULL at this moment.
cdef int keep_leftover(Connection connection, const char* data, Py_ssize_t size) except -1
cdef void drop_leftover(Connection connection) noexcept
