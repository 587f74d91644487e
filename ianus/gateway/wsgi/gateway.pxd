"""The gateway of one WSGI application."""
from ianus.codec.base cimport Request
from ianus.exchange.gateway cimport Gateway
from ianus.gateway.threads.executor cimport Executor
from ianus.gateway.threads.predictor cimport Predictor
from ianus.gateway.wsgi.environ cimport Environs


cdef class WsgiGateway(Gateway):
    cdef object app
    cdef Executor executor
    cdef Predictor predictor
    cdef object context             # contextvars.Context; each call runs in a copy of it
    cdef object spool               # gateway/wsgi/spool.Spool
    cdef object errors              # gateway/wsgi/error_stream.ErrorStream
    cdef set unfinished_threads     # of `errors`
    cdef Py_ssize_t request_buffer, response_buffer
    cdef bint sendfile, early_hints, calls_early
    cdef object open_websocket      # (Request) -> its exchange, or None for an ordinary one; None if none is opened
    cdef object add_connection      # (socket, SessionFactory): has the reactor serve one end of a socket pair
    cdef Environs environs
    cdef dict parsed_statuses       # (code, reason phrase, status string) by status string
    cdef tuple last_status          # the last one of them, or None

    cdef object open_upgrade(self, Request request)   # the exchange of a request that may ask for a WebSocket
    cdef tuple parse_status(self, str status)
