"""The health path: the server itself answers GET and HEAD, with 200 while it serves and 503 otherwise.

Facts: a balancer or an orchestrator asks every few seconds, without the Host of the site, by plain HTTP and without
credentials. Applications reject such requests, and a busy one answers late. Strategy: this gateway precedes all
applications, and its exchange answers as soon as the head is read. It counts for no limit, and no observer sees it.

Compiled because requests pass here with --health-path: about 40 instructions for any other path.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcmp

from ianus.codec.base cimport Request
from ianus.exchange.gateway cimport Gateway
from ianus.exchange.http cimport Exchange
from ianus.exchange.in_flight_counter cimport NOT_COUNTED, InFlightKind
from ianus.exchange.service cimport HEALTH_SERVING, HEALTH_STARTING


# The answer holds for this moment only.
cdef list FIELDS = [(b"cache-control", b"no-store")]


cdef class HealthGateway(Gateway):
    """Answers health checks, and hands all other requests to the gateway of the applications.

    health_path: the path as it is in the request line, without a query.
    """

    def __init__(self, Gateway applications not None, *, str health_path not None):
        self.name = applications.name
        self.opens_tunnels = applications.opens_tunnels
        self.applications = applications
        self.path = health_path.encode("ascii")

    cdef object open(self, Request request):
        cdef HealthExchange exchange
        # Other methods are the application's, which may have a view of the same path.
        if request.raw_path == self.path and request.method in ("GET", "HEAD"):
            exchange = HealthExchange.__new__(HealthExchange)
            exchange.gateway = self
            return exchange
        return self.applications.open(request)

    cdef bint answers_itself(self, const char* head, Py_ssize_t size) noexcept:
        cdef Py_ssize_t length = PyBytes_GET_SIZE(self.path)
        cdef Py_ssize_t start = 4 if size > 5 and memcmp(head, b"GET ", 4) == 0 else 5
        if size <= start + length or (start == 5 and memcmp(head, b"HEAD ", 5) != 0):
            return False
        return memcmp(head + start, PyBytes_AS_STRING(self.path), length) == 0 and head[start + length] in (b" ", b"?")


@cython.no_gc
cdef class HealthExchange(Exchange):
    """One health check."""

    cdef bint start(self) except -1:
        if self.service.health == HEALTH_SERVING:
            self.send_error(200, "", FIELDS, False)
        else:
            detail = "starting" if self.service.health == HEALTH_STARTING else "draining"
            self.send_error(503, detail, FIELDS, False)
        return False

    cdef InFlightKind in_flight_kind(self) noexcept:
        # It is answered while requests are rejected, so that an overload does not become a restart.
        return NOT_COUNTED

    cdef int report_end(self, long long unsent) except -1:
        # Not logged: checks are many, and their result is known to the client that made them.
        return 0
