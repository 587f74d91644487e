"""Makes the sessions of HTTP/2 connections, which exchange/stream_session describes.

Compiled because it makes sessions, whose type is compiled.
"""
cimport cython

from ianus.codec.base cimport MultiplexedCodecFactory
from ianus.exchange.base cimport Session, SessionFactory, Transport
from ianus.exchange.gateway cimport Gateway
from ianus.exchange.service cimport Service
from ianus.exchange.stream_session cimport StreamSession
from ianus.runtime.clock cimport monotonic


@cython.final
@cython.no_gc
cdef class Http2Session(StreamSession):
    pass


cdef class Http2SessionFactory(SessionFactory):
    """Makes the sessions of new connections. codecs: makes their codecs."""

    def __init__(self, Service service not None, MultiplexedCodecFactory codecs not None):
        self.service = service
        self.gateway = service.gateway
        self.codecs = codecs

    def set_gateway(self, Gateway gateway not None) -> None:
        """Sets the gateway that the requests of these connections pass, in place of the service's."""
        self.gateway = gateway

    cdef Session create(self, Transport transport):
        cdef Http2Session session = Http2Session.__new__(Http2Session)
        session.service = self.service
        session.gateway = self.gateway
        # A cycle, since the connection owns its session. on_connection_lost() ends it.
        session.transport = transport
        session.codec = session.streams = self.codecs.create(transport)
        session.codec.sink = session
        session.encoder = session.codec.encoder
        session.noted = []
        session.deferred = []
        session.writable = []
        session.sent = []
        session.waiting = []
        session.senders = []
        # A new connection is idle from its start.
        session.idle_since = monotonic()
        return session

    cdef int drain(self, bint handover) except -1:
        return self.service.drain(handover)

    cdef int end_streams(self) except -1:
        return self.service.end_streams()

    cdef int reset_in_child(self) except -1:
        return self.service.reset_in_child()
