"""Passes the bytes of an application's socket to its exchange, and has them in no form but bytes.

Compiled because it is a session.
"""
cimport cython

from ianus.exchange.base cimport Session, SessionFactory, Transport
from ianus.gateway.wsgi.websocket cimport ENDED, WsgiWebSocket


@cython.no_gc
cdef class RelaySession(Session):
    cdef Py_ssize_t received(self, const char* data, Py_ssize_t size) except -1:
        return self.exchange.relay_received(data, size)

    cdef int run(self) except -1:
        return self.exchange.run_relay() if self.exchange is not None else 0

    cdef bint wants_input(self) noexcept:
        return self.exchange is not None and self.exchange.accepts_relayed()

    cdef bint wants_read(self) noexcept:
        return self.exchange is not None and self.exchange.accepts_relayed()

    cdef int on_writable(self) except -1:
        return self.exchange.on_relay_writable() if self.exchange is not None else 0

    cdef int on_peer_finished(self, bint behind_unread) except -1:
        return self.exchange.on_relay_finished() if not behind_unread and self.exchange is not None else 0

    cdef double write_timeout(self) noexcept:
        cdef WsgiWebSocket exchange = self.exchange
        if exchange is None or exchange.state != ENDED:
            return 0
        # An application that still writes, but does not read the end of its input, would write for ever.
        return exchange.service.websocket_rules.ws_close_timeout

    # The last frames of an application that has closed its socket are for the client.
    cdef bint outlives_peer(self) noexcept:
        return True

    cdef int on_connection_lost(self) except -1:
        cdef WsgiWebSocket exchange = self.exchange
        # Ends the cycles of this session with the exchange and the connection.
        self.exchange = None
        self.transport = None
        return exchange.on_relay_lost() if exchange is not None else 0

    # The exchange of the client takes part in the stop.
    cdef int drain(self) except -1:
        return 0


cdef class RelaySessionFactory(SessionFactory):
    """Makes the session of one connection. exchange: of its client."""

    def __init__(self, WsgiWebSocket exchange not None):
        self.exchange = exchange

    cdef Session create(self, Transport transport):
        cdef RelaySession session = RelaySession.__new__(RelaySession)
        session.transport = transport
        session.exchange = self.exchange
        self.exchange.relay = transport
        return session
