"""The part of a session that all versions of HTTP share: new exchanges, output, the ends of responses."""
cimport cython
from ianus.codec.base cimport Codec, HeadEncoder, Request
from ianus.exchange.base cimport Session, SessionFactory, Transport, flag
from ianus.exchange.connection_info cimport ConnectionInfo
from ianus.exchange.gateway cimport Gateway
from ianus.exchange.http cimport Exchange
from ianus.exchange.service cimport Service


cdef class HttpSessionFactory


@cython.no_gc
cdef class HttpSession(Session):
    cdef Service service
    cdef HttpSessionFactory factory     # has the objects that all its sessions share
    cdef Codec codec
    # Exchanges whose response has ended, and is reported once the kernel has taken it; the first one, linked by
    # `next_unreported`
    cdef Exchange first_unreported

    cdef bint is_stopping(self) noexcept        # the server stops, and has no successor
    # Opens the exchange of a request whose head was read; the codec is on the stack. started: the time of its first
    # byte in CLOCK_MONOTONIC seconds, which only an observer needs. earliest: time since which it can have waited.
    cdef Exchange open_exchange(self, int stream, Request request, double started, double earliest)
    # The connection of the client of a request that no application gets; request: may be None
    cdef ConnectionInfo reported(self, Request request)
    # Replaces the facts of the connection by those that proxies report in fields.
    cdef int read_forwarded(self, Exchange exchange) except -1
    # Has the application called, or answers instead of it. Returns whether the application runs only after the loop's
    # callbacks.
    cdef bint start_exchange(self, Exchange exchange) except -1
    cdef int log_rejection(self, int status, str reason, Request request, ConnectionInfo connection) except -1
    cdef int report_when_taken(self, Exchange exchange) except -1
    cdef int note_end(self, Exchange exchange) except -1
    cdef int report_first(self, long long taken) except -1
    cdef int report_all(self, long long taken) except -1


# The value of the field Host or of :authority, b"" if there is none
cdef bytes host_of(Request request)


cdef class HttpSessionFactory(SessionFactory):
    cdef Service service
    cdef Gateway gateway            # that opens the exchanges of the sessions
    cdef HeadEncoder encoder        # of their responses

    # Links a new session with its connection, its codec and the objects of this factory.
    cdef int set_up(self, HttpSession session, Transport transport, Codec codec) except -1
