"""Shared state of a worker's connections. One instance a reactor, so there is no lock."""
from time import gmtime

from posix.time cimport time_t

from ianus.codec.base cimport CodecFactory
from ianus.codec.output cimport OutputPool
from ianus.exchange.in_flight_counter cimport InFlightCounter
from ianus.telemetry.access_log cimport AccessLog
from ianus.runtime.clock cimport monotonic

from ianus.telemetry.logger import logger


cdef extern from "<time.h>" nogil:
    time_t time(time_t*)


cdef tuple DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
cdef tuple MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


cdef bytes imf_fixdate(long second):
    """RFC 9110 section 5.6.7, in English in all locales. (email.utils would add 6 ms to every start.)"""
    now = gmtime(second)
    return (
        f"{DAYS[now.tm_wday]}, {now.tm_mday:02} {MONTHS[now.tm_mon - 1]} {now.tm_year} "
        f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02} GMT"
    ).encode("ascii")


cdef class Deadlines:
    """Limits of a client's time in seconds, 0 for no limit; body_rate in bytes a second, judged on average once
    body_rate_grace seconds have passed (0: from the start); a drain_idle of 0 closes idle connections at once.
    """

    def __init__(
        self,
        *,
        double request_header=10.0,
        double keep_alive=75.0,
        double request_body=30.0,
        double body_rate=240.0,
        double body_rate_grace=10.0,
        double write=60.0,
        double drain_idle=2.0,
    ):
        if min(request_header, keep_alive, request_body, body_rate, body_rate_grace, write, drain_idle) < 0:
            raise ValueError("deadlines cannot be negative")
        self.request_header = request_header
        self.keep_alive = keep_alive
        self.request_body = request_body
        self.body_rate = body_rate
        self.body_rate_grace = body_rate_grace
        self.write = write
        self.drain_idle = drain_idle

    cdef double rate_deadline(self, double since, long long received) noexcept:
        return since + max(self.body_rate_grace, received / self.body_rate)


cdef class WebSocketRules:
    """max_size: bytes of a message, 0 for no limit. max_queue: messages that wait for the application. Seconds:
    ping_interval and ping_timeout, 0 for never; close_timeout. deflate_level: 1 to 9, 0 for no compression. limit: open
    at once, 0 for no limit.
    """

    def __init__(
        self,
        *,
        Py_ssize_t max_size=16777216,
        Py_ssize_t max_queue=32,
        double ping_interval=20.0,
        double ping_timeout=20.0,
        double close_timeout=10.0,
        int deflate_level=1,
        Py_ssize_t limit=0,
    ):
        if min(max_size, limit) < 0 or min(ping_interval, ping_timeout, close_timeout) < 0:
            raise ValueError("limits and times cannot be negative")
        if max_queue < 1:
            raise ValueError("at least one message waits for the application")
        if not 0 <= deflate_level <= 9:
            raise ValueError("deflate levels are 0 to 9")
        self.max_size = max_size
        self.max_queue = max_queue
        self.ping_interval = ping_interval
        self.ping_timeout = ping_timeout
        self.close_timeout = close_timeout
        self.deflate_level = deflate_level
        self.limit = limit


cdef class Service:
    """Binds a gateway to its limits and logs.

    gateway: gets the requests. codecs: makes the codec of each connection. websocket_rules: None for the
    defaults. access_log: None for no log.
    headers: (name, value) pairs of bytes added to every response. limit_concurrency: application calls that may
    run at once, 0 for no limit; more are answered 503. request_id_header: the field that carries the id of a request,
    "" for none. on_max_requests: called once, when the last of max_requests starts (0: never), in the thread that
    serves the reactor.
    """

    def __init__(
        self,
        gateway not None,
        CodecFactory codecs not None,
        *,
        Deadlines deadlines not None,
        WebSocketRules websocket_rules=None,
        AccessLog access_log=None,
        bint date_header=True,
        bint server_header=True,
        headers=(),
        int limit_concurrency=0,
        str request_id_header="",
        long long max_requests=0,
        on_max_requests=None,
    ):
        self.gateway = gateway
        self.codecs = codecs
        self.deadlines = deadlines
        self.websocket_rules = WebSocketRules() if websocket_rules is None else websocket_rules
        self.access_log = access_log
        self.headers = [(bytes(name), bytes(value)) for name, value in headers]
        names = {pair[0].lower() for pair in self.headers}
        self.date_header = date_header and b"date" not in names
        self.server_header = server_header and b"server" not in names
        self.in_flight = InFlightCounter(
            limit_requests=limit_concurrency, limit_websockets=self.websocket_rules.limit
        )
        self.request_id_header = request_id_header.lower().encode("ascii") or None
        self.requests_left = max_requests
        self.on_max_requests = on_max_requests
        self.pool = OutputPool()
        self.warned = set()

    cdef int drain(self, bint handover) except -1:
        """Starts the stop. Called a second time if the server has no successor any more."""
        self.draining = True
        self.handover = handover
        self.drain_started_at = monotonic()
        return 0

    cdef int end_streams(self) except -1:
        self.ends_streams = True
        self.streams_end_since = monotonic()
        return 0

    cdef bytes date_value(self):
        """The Date of a response sent now (RFC 9110 section 6.6.1)."""
        cdef long second = <long>time(NULL)
        if second != self.date_second:
            self.date = imf_fixdate(second)
            self.date_second = second
        return self.date

    cdef int reset_in_child(self) except -1:
        """Resets a forked child: unlogged responses are the parent's."""
        self.forked = True
        self.in_flight.reset_in_child()
        if self.access_log is not None:
            self.access_log.reset_in_child()
            self.access_log = None
        return 0

    cdef int warn_once(self, str message) except -1:
        if message not in self.warned:
            self.warned.add(message)
            logger.warning("%s", message)
        return 0
