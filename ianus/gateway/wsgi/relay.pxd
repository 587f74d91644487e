"""The connection between a WebSocket and its application: one end of a socket pair."""
cimport cython
from ianus.exchange.base cimport Session, SessionFactory
from ianus.gateway.wsgi.websocket cimport WsgiWebSocket


@cython.no_gc
cdef class RelaySession(Session):
    cdef WsgiWebSocket exchange     # None once the connection is gone


cdef class RelaySessionFactory(SessionFactory):
    cdef WsgiWebSocket exchange
