"""The start of a connection, of which a few bytes decide how it continues.

A connection without a byte is an idle one. The session that follows exists from the start, and has the rules for it,
also while the server stops.

Compiled because it is a session. A connection passes it once.
"""
cimport cython

from ianus.exchange.base cimport Session, Transport


@cython.no_gc
cdef class FirstSession(Session):
    cdef int take_over(self, Session session) except -1:
        cdef Transport transport = self.transport
        self.transport = None
        self.next = None
        return transport.switch_session(session)

    cdef bint may_pass_on(self, const char* head, Py_ssize_t size) noexcept:
        # The other worker reads the first bytes then.
        return self.since == 0 and not self.complete and self.next.may_pass_on(head, size)

    cdef bint wants_input(self) noexcept:
        return not self.complete

    cdef bint wants_read(self) noexcept:
        return not self.complete

    cdef int on_connection_lost(self) except -1:
        cdef Session after = self.next
        self.transport = None
        # It has a reference to the connection, and ends the cycle here.
        self.next = None
        return after.on_connection_lost()

    cdef int drain(self) except -1:
        return self.next.drain()

    cdef bint is_busy(self) noexcept:
        return self.next.is_busy()

    cdef double read_deadline(self) except -1:
        return self.next.read_deadline()

    cdef int on_expired(self) except -1:
        return self.next.on_expired()
