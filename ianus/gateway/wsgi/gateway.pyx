"""The gateway of one WSGI application: the objects that all its exchanges share.

Compiled because every WSGI request passes here: 88 instructions for WSGI hello.
"""
import contextvars

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItemWithError
from cpython.object cimport PyObject

from ianus.codec.base cimport Request
from ianus.codec.fields cimport is_field_value
from ianus.exchange.gateway cimport Gateway
from ianus.exchange.http cimport new_response
from ianus.gateway.threads.executor cimport Executor
from ianus.gateway.threads.predictor cimport Predictor
from ianus.gateway.wsgi.call cimport MAX_JOINED_BYTES
from ianus.gateway.wsgi.environ cimport Environs
from ianus.gateway.wsgi.exchange cimport WsgiExchange

from ianus.codec.reasons import REASONS
from ianus.gateway.wsgi.error_stream import ErrorStream


cdef enum:
    MIN_PACE_BYTES = 65536  # of a body, to know how fast it arrives
    MAX_STATUSES = 256      # status strings whose parsed form is kept


cdef class WsgiGateway(Gateway):
    """Runs requests in a WSGI application.

    app: the application; name: its name, for messages. executor: the threads that call it.
    root_path: the prefix that a proxy removes from all paths; root_path_kept: the prefix that it keeps. One of them is
    "". mount_prefix: the path prefix of this application.
    multithread, multiprocess: for the environ.
    request_buffer: maximum bytes of a request body in memory; spool: the temporary files for bigger ones.
    response_buffer: bytes of a response that may wait for a slow client; above it, the application's thread waits.
    sendfile: the kernel sends the files of wsgi.file_wrapper. early_hints: offer wsgi.early_hints.
    header_map: "dangerous" puts field names with an underscore into the environ, in which they look like those with a
    hyphen; "drop" does not.
    open_websocket: makes the exchange of a request for a WebSocket; None for none. add_connection: has the reactor
    serve a socket of this process.
    """

    def __init__(
        self, app not None, *, Executor executor not None, str name not None, str root_path not None,
        str root_path_kept not None, str mount_prefix not None, bint multithread, bint multiprocess,
        Py_ssize_t request_buffer, Py_ssize_t response_buffer, spool not None, bint sendfile, bint early_hints,
        str header_map not None, open_websocket, add_connection not None,
    ):
        self.app = app
        self.executor = executor
        self.name = name
        # One for each application: methods and paths of two applications mean different things.
        self.predictor = Predictor()
        # Each call runs in a copy of the context in which the application was loaded.
        self.context = contextvars.copy_context()
        self.request_buffer = request_buffer
        # Joined blocks never wait for the client.
        self.response_buffer = max(response_buffer, <Py_ssize_t>MAX_JOINED_BYTES)
        # Otherwise all large bodies are complete before the call.
        self.calls_early = request_buffer >= MIN_PACE_BYTES
        self.spool = spool
        self.sendfile = sendfile
        self.early_hints = early_hints
        self.open_websocket = open_websocket
        self.add_connection = add_connection
        self.parsed_statuses = {}
        self.errors = ErrorStream()
        self.unfinished_threads = self.errors.unfinished_threads
        self.environs = Environs(
            script_name=root_path + root_path_kept + mount_prefix, prefix=root_path_kept + mount_prefix,
            errors=self.errors, multithread=multithread, multiprocess=multiprocess, header_map=header_map,
        )

    cdef object open(self, Request request):
        cdef WsgiExchange exchange
        # Without such a field the check costs nothing. A proxy may have removed the upgrade and kept the key.
        if request.upgrade or request.websocket_key:
            exchange = self.open_upgrade(request)
        else:
            exchange = WsgiExchange.__new__(WsgiExchange)
        exchange.gateway = self
        exchange.response = new_response()
        # PEP 3333, "Buffering and Streaming": a block is sent before the next one is requested.
        exchange.response.flush_each_piece = True
        return exchange

    cdef object open_upgrade(self, Request request):
        exchange = self.open_websocket(request) if self.open_websocket is not None else None
        return exchange if exchange is not None else WsgiExchange.__new__(WsgiExchange)

    cdef tuple parse_status(self, str status):
        """Parses a status such as '200 OK' into (code, reason phrase, status). A registered phrase becomes None."""
        # An own reference: another thread may replace it.
        cdef tuple last = self.last_status
        cdef PyObject* found
        cdef str code
        cdef bytes reason
        # A constant of the application is the same object each time.
        if last is not None and last[2] is status:
            return last
        found = PyDict_GetItemWithError(self.parsed_statuses, status)
        # Applications use few statuses, so nearly all are parsed once in the life of the worker.
        if found != NULL:
            self.last_status = <tuple>found
            return <tuple>found
        code = status[:3]
        if len(code) != 3 or not code.isascii() or not code.isdigit() or status[3:4] not in ("", " "):
            raise ValueError(f"response status {status!r} is not three digits, a space and a reason phrase")
        # PEP 3333, "Unicode Issues": a native string. Others raise UnicodeEncodeError, a ValueError.
        reason = status[4:].encode("latin-1")
        if not is_field_value(PyBytes_AS_STRING(reason), PyBytes_GET_SIZE(reason)):
            raise ValueError(f"response status {status!r} has a control character")
        # The encoder has the registered phrases already.
        if not reason or REASONS.get(int(code)) == status[4:]:
            reason = None
        parsed = (int(code), reason, status)
        # An application may make statuses from data, so the number needs a limit.
        if len(self.parsed_statuses) < MAX_STATUSES:
            self.parsed_statuses[status] = parsed
        return parsed
