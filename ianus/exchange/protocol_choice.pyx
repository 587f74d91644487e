"""The choice of the version of HTTP for a connection: by ALPN with TLS, by the first bytes without it.

Rules:
- Without TLS a connection is one of HTTP/2 if it starts with its preface (RFC 9113 section 3.3), which no request of
  HTTP/1 does. There is no upgrade from HTTP/1, which lets clients pass a proxy's rules.
- Until the first bytes the session of HTTP/1 has the deadlines, also while the server stops.
- With TLS only ALPN decides. So a client that has negotiated one protocol cannot use the other.

Compiled because it is a session. A connection passes it once.
"""
cimport cython
from libc.string cimport memcmp

from ianus.exchange.base cimport Session, SessionFactory, Transport
from ianus.exchange.first_session cimport FirstSession
from ianus.runtime.clock cimport monotonic


cdef bytes PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


cdef class ProtocolChoice(SessionFactory):
    """Makes the sessions of connections in either version.

    http1, http2: factories of one version. reads_preface: connections without a negotiation may use HTTP/2.
    """

    def __init__(self, SessionFactory http1 not None, SessionFactory http2 not None, *, bint reads_preface):
        self.http1 = http1
        self.http2 = http2
        self.scheme = http1.scheme
        self.reads_preface = reads_preface

    cdef Session create(self, Transport transport):
        cdef PrefaceSession session
        if not self.reads_preface:
            return self.http1.create(transport)
        session = PrefaceSession.__new__(PrefaceSession)
        session.choice = self
        # Cycles, since the connection owns its session. on_connection_lost() or take_over() ends them.
        session.transport = transport
        session.next = self.http1.create(transport)
        return session

    cdef Session create_negotiated(self, Transport transport, str protocol):
        return self.http2.create(transport) if protocol == "h2" else self.http1.create(transport)

    cdef int drain(self, bint handover) except -1:
        # Both have the same service.
        return self.http1.drain(handover)

    cdef int end_streams(self) except -1:
        return self.http1.end_streams()

    cdef int reset_in_child(self) except -1:
        return self.http1.reset_in_child()


@cython.no_gc
cdef class PrefaceSession(FirstSession):
    cdef Py_ssize_t received(self, const char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t known = min(size, len(PREFACE))
        if self.since == 0:
            # Later bytes do not extend the deadline.
            self.since = monotonic()
        if memcmp(data, <const char*>PREFACE, known) == 0:
            self.complete = self.is_http2 = known == len(PREFACE)
        else:
            self.complete = True
        # The next session gets all of them.
        return 0

    cdef int run(self) except -1:
        cdef Session http1 = self.next
        if not self.complete:
            return 0
        if not self.is_http2:
            return self.take_over(http1)
        self.take_over(self.choice.http2.create(self.transport))
        # Ends its cycle with the connection.
        return http1.on_connection_lost()

    cdef int on_peer_finished(self, bint behind_unread) except -1:
        # Also after a part of the preface, which cannot be answered in either protocol.
        return 0 if behind_unread else self.transport.finish()
