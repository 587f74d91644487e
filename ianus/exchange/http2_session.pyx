"""Makes the sessions of HTTP/2 connections, which exchange/stream_session describes.

Compiled because it makes sessions, whose type is compiled.
"""
cimport cython

from ianus.codec.base cimport MultiplexedCodecFactory
from ianus.exchange.base cimport Session, Transport
from ianus.exchange.http_session cimport HttpSessionFactory
from ianus.exchange.service cimport Service
from ianus.exchange.stream_session cimport StreamSession
from ianus.runtime.clock cimport monotonic


@cython.final
@cython.no_gc
cdef class Http2Session(StreamSession):
    pass


cdef class Http2SessionFactory(HttpSessionFactory):
    """Makes the sessions of new connections. codecs: makes their codecs."""

    def __init__(self, Service service not None, MultiplexedCodecFactory codecs not None):
        HttpSessionFactory.__init__(self, service, codecs.encoder)
        self.codecs = codecs

    cdef Session create(self, Transport transport):
        cdef Http2Session session = Http2Session.__new__(Http2Session)
        session.streams = self.codecs.create(transport)
        self.set_up(session, transport, session.streams)
        session.noted = []
        session.deferred = []
        session.writable = []
        session.sent = []
        session.waiting = []
        session.senders = []
        # A new connection is idle from its start.
        session.idle_since = monotonic()
        return session
