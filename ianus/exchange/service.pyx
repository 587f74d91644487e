"""Shared state of a worker's connections. One instance a reactor, so there is no lock."""
from time import gmtime

from posix.time cimport time_t

from ianus.exchange.forwarded cimport ForwardedRules
from ianus.exchange.head_cache cimport HeadCache
from ianus.exchange.in_flight_counter cimport InFlightCounter
from ianus.runtime.clock cimport monotonic
from ianus.telemetry.observer cimport Observer

from ianus.telemetry.logger import logger


cdef extern from "<time.h>" nogil:
    time_t time(time_t*)


# A head, or a body that the application waits for, of which nothing arrives for this long during a stop is given up.
cdef double DRAIN_STALLED_SECONDS = 0.75
cdef double REJECTION_LOG_SECONDS = 1.0  # seconds between two log lines about refused requests
cdef tuple DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
cdef tuple MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


cdef bytes imf_fixdate(long second):
    """RFC 9110 section 5.6.7, in English in all locales. (email.utils would add 6 ms to every start.)"""
    # UTC, as the format requires.
    now = gmtime(second)
    return (
        f"{DAYS[now.tm_wday]}, {now.tm_mday:02} {MONTHS[now.tm_mon - 1]} {now.tm_year} "
        f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02} GMT"
    ).encode("ascii")


cdef class Deadlines:
    """Limits of a client's time. Immutable."""

    def __init__(
        self,
        *,
        double timeout_request_header,
        double timeout_keep_alive,
        double timeout_request_body,
        double limit_body_rate,
        double limit_body_rate_grace,
        double timeout_write,
        double drain_idle,
    ):
        # The settings' values. The schema has their defaults and checks them.
        self.timeout_request_header = timeout_request_header
        self.timeout_keep_alive = timeout_keep_alive
        self.timeout_request_body = timeout_request_body
        self.limit_body_rate = limit_body_rate
        self.limit_body_rate_grace = limit_body_rate_grace
        self.timeout_write = timeout_write
        self.drain_idle = drain_idle

    cdef double rate_deadline(self, double since, long long received) noexcept:
        # Bytes that arrive fast at first give time for later ones: the rate is an average.
        return since + max(self.limit_body_rate_grace, received / self.limit_body_rate)


cdef class WebSocketRules:
    """Limits of all WebSockets. Immutable."""

    def __init__(
        self,
        *,
        Py_ssize_t ws_max_size,
        Py_ssize_t ws_max_queue,
        double ws_ping_interval,
        double ws_ping_timeout,
        double ws_close_timeout,
        bint ws_per_message_deflate,
        int ws_deflate_level,
    ):
        # As above
        self.ws_max_size = ws_max_size
        self.ws_max_queue = ws_max_queue
        self.ws_ping_interval = ws_ping_interval
        self.ws_ping_timeout = ws_ping_timeout
        self.ws_close_timeout = ws_close_timeout
        self.ws_per_message_deflate = ws_per_message_deflate
        self.ws_deflate_level = ws_deflate_level


cdef class Service:
    """Binds a gateway to its limits and logs.

    gateway: gets the requests. observer: of requests that have ended, None for none. forwarded: None if the fields of
    proxies are not read. tls_host_check: requests over TLS for a host without a certificate on their connection are
    answered 421. queue_time: applications get the time that each request has waited.
    header: (name, value) pairs of bytes added to every response. limit_concurrency, limit_websockets: application calls
    for requests and for WebSockets that may run at once, 0 for no limit; more are answered 503.
    limit_thread_websockets: WebSockets whose calls may hold a thread. request_id_header: the
    field that carries the id of a request, in lower case, "" for none. on_max_requests: called once, when the last of
    max_requests starts (0: never), in the thread that serves the reactor. ws_drain_spread: not 0 if the stop ends
    WebSockets and event streams one after the other, by end_conversation() of their sessions.
    """

    def __init__(
        self,
        gateway not None,
        *,
        Deadlines deadlines not None,
        WebSocketRules websocket_rules not None,
        ForwardedRules forwarded,
        bint tls_host_check,
        bint queue_time,
        Observer observer,
        bint date_header,
        bint server_header,
        header,
        int limit_concurrency,
        Py_ssize_t limit_websockets,
        Py_ssize_t limit_thread_websockets,
        str request_id_header not None,
        long long max_requests,
        double ws_drain_spread,
        on_max_requests=None,
    ):
        self.gateway = gateway
        self.deadlines = deadlines
        self.closes_connections = deadlines.timeout_keep_alive == 0
        self.websocket_rules = websocket_rules
        self.forwarded = forwarded
        if tls_host_check:
            # Late: without the check nothing of it is loaded.
            from ianus.exchange.host_check import is_certified

            self.is_certified = is_certified
        self.observer = observer
        self.queue_time = queue_time
        self.measures_queue_time = queue_time or observer is not None and observer.wants_queue_time
        # Copies: pointers into them are passed to the encoder for each response.
        self.header = [(bytes(name), bytes(value)) for name, value in header]
        # A field that the operator sets replaces the server's own.
        names = {pair[0].lower() for pair in self.header}
        self.date_header = date_header and b"date" not in names
        self.server_header = server_header and b"server" not in names
        self.in_flight = InFlightCounter(
            limit_concurrency=limit_concurrency, limit_websockets=limit_websockets,
            limit_thread_websockets=limit_thread_websockets,
        )
        # None instead of b"", which is the cheaper test for each request.
        self.request_id_header = request_id_header.encode("ascii") or None
        # 0 becomes negative with the first request, and never 0 again.
        self.requests_left = max_requests
        self.on_max_requests = on_max_requests
        self.spreads_ends = ws_drain_spread > 0
        self.heads = HeadCache()
        self.warned = set()

    def note_serving(self) -> None:
        """Records that the applications have started; from now on health checks succeed."""
        self.health = HEALTH_SERVING

    def note_draining(self) -> None:
        """Records that the server is about to stop; from now on health checks fail, and requests are still served.

        Each response ends its connection, so that clients connect to another server.
        """
        self.health = HEALTH_DRAINING
        self.closes_connections = True

    cdef double stalled_deadline(self, double last) noexcept:
        return max(last, self.drain_started_at) + DRAIN_STALLED_SECONDS

    cdef double body_deadline(self, double since, double last, long long received, bint awaited) noexcept:
        cdef Deadlines deadlines = self.deadlines
        cdef double deadline = 0, other
        if deadlines.timeout_request_body:
            deadline = last + deadlines.timeout_request_body
        if deadlines.limit_body_rate:
            # Both limits hold: a body without a pause may still be too slow.
            other = deadlines.rate_deadline(since, received)
            if deadline == 0 or other < deadline:
                deadline = other
        # With a successor the client has time.
        if awaited and self.draining and not self.handover:
            other = self.stalled_deadline(last)
            if deadline == 0 or other < deadline:
                deadline = other
        return deadline

    cdef int drain(self, bint handover) except -1:
        """Starts the stop. Called a second time if the server has no successor any more."""
        # Responses whose head is sent have promised keep-alive. Their connections have the time of read_deadline().
        self.draining = self.closes_connections = True
        self.handover = handover
        if not handover:
            self.health = HEALTH_DRAINING
        # Deadlines of connections count from the stop, if they are older.
        self.drain_started_at = monotonic()
        return 0

    cdef int end_streams(self) except -1:
        self.ends_streams = True
        return 0

    def end_spread(self) -> None:
        """Has WebSockets and event streams end at once from here on, as without --ws-drain-spread."""
        self.spreads_ends = False

    cdef bytes date_value(self):
        """The Date of a response sent now (RFC 9110 section 6.6.1)."""
        cdef long second = <long>time(NULL)
        # Once a second and not once a request
        if second != self.date_second:
            self.date = imf_fixdate(second)
            self.date_second = second
        return self.date

    cdef int reset_in_child(self) except -1:
        """Resets a forked child: unlogged responses are the parent's."""
        # The exchange of the call that has forked must not answer the parent's client.
        self.forked = True
        self.in_flight.reset_in_child()
        if self.observer is not None:
            self.observer.reset_in_child()
            # The child of a fork must not log a request that its parent logs.
            self.observer = None
        return 0

    cdef int note_rejection(self, str limit) except -1:
        """Logs a request that is refused because of a limit."""
        cdef double now = monotonic()
        # One line a second with a count: a flood must not fill the log.
        self.rejected_requests += 1
        if now - self.rejection_logged_at >= REJECTION_LOG_SECONDS:
            logger.warning("rejected %d request(s) with 503: %s reached", self.rejected_requests, limit)
            self.rejected_requests = 0
            self.rejection_logged_at = now
        return 0

    cdef int warn_once(self, str message) except -1:
        # The messages are formatted by the server from names, so their number is small.
        if message not in self.warned:
            self.warned.add(message)
            logger.warning("%s", message)
        return 0
