"""The state that all connections of a worker share: limits, deadlines, gateway, observer, fields of all responses."""
from ianus.exchange.forwarded cimport ForwardedRules
from ianus.exchange.head_cache cimport HeadCache
from ianus.exchange.in_flight_counter cimport InFlightCounter
from ianus.telemetry.observer cimport Observer


cdef class Deadlines:
    """Seconds, 0 = none. Immutable."""
    cdef readonly double timeout_request_header     # absolute, from the first byte of a head
    # Without any byte between two requests; 0 = each response is the last one of its connection
    cdef readonly double timeout_keep_alive
    cdef readonly double timeout_request_body       # without a byte of a body that we are willing to read
    cdef readonly double limit_body_rate            # bytes a second of such a body, on average ...
    cdef readonly double limit_body_rate_grace      # ... after this many seconds; 0 = from the start
    cdef readonly double timeout_write              # without progress while output waits
    # Without a request, and of a WebSocket, when a successor takes over; 0 = closed at once. It is timeout_drain_idle,
    # or less if the graceful shutdown is short.
    cdef readonly double drain_idle

    # When `received` bytes since then will be too few for limit_body_rate, which is not 0
    cdef double rate_deadline(self, double since, long long received) noexcept


cdef class WebSocketRules:
    """The limits of all WebSockets. Immutable."""
    cdef readonly Py_ssize_t ws_max_size        # bytes of a message, inflated; 0 = no limit
    cdef readonly Py_ssize_t ws_max_queue       # messages that wait for the application, at least 1
    cdef readonly double ws_ping_interval       # seconds without a byte after which a ping is sent; 0 = never
    cdef readonly double ws_ping_timeout        # ... and after which the peer counts as gone; 0 = no limit
    cdef readonly double ws_close_timeout       # seconds that the peer's close frame is waited for, 0 = not at all
    cdef readonly bint ws_per_message_deflate   # permessage-deflate is accepted ...
    cdef readonly int ws_deflate_level          # ... with this level, 1 to 9


# The answer of the server to health checks.
cdef enum HealthState:
    HEALTH_STARTING     # the applications have not started
    HEALTH_SERVING
    HEALTH_DRAINING     # the server stops soon; connections may still be accepted


cdef class Service:
    cdef readonly HealthState health
    cdef readonly object gateway            # a Gateway (exchange/gateway.pxd)
    cdef readonly Deadlines deadlines
    cdef readonly Observer observer         # of requests that have ended, or None
    cdef readonly WebSocketRules websocket_rules
    cdef readonly ForwardedRules forwarded  # None: fields of proxies are not read
    cdef object is_certified                # of exchange/host_check, by which hosts are checked; None = they are not
    cdef bint queue_time                    # applications get the queue time of each request
    cdef bint measures_queue_time           # ... or the observer
    cdef readonly InFlightCounter in_flight
    # Every response is the last of its connection: timeout_keep_alive is 0, a stop was announced, or ...
    cdef readonly bint closes_connections
    cdef readonly bint draining             # ... has started
    cdef readonly bint handover            # ... because another server has taken over the listeners
    cdef double drain_started_at            # CLOCK_MONOTONIC seconds
    cdef readonly bint ends_streams         # event streams and requests that only wait are notified of the stop
    # WebSockets and event streams do not end at the stop, but when end_conversation() of their sessions is called
    cdef readonly bint spreads_ends
    cdef readonly bint forked               # this is a child that an application has forked
    cdef long long requests_left            # until on_max_requests() is called; at and below 0 it never is
    cdef object on_max_requests
    cdef bint date_header, server_header    # added unless the response brings its own
    cdef bytes request_id_header            # lower case; None = requests have no id
    cdef list header                        # (name, value) added to every response
    cdef HeadCache heads                    # of the last responses
    cdef bytes date                         # IMF-fixdate, remade when the second changes
    cdef long date_second
    # Warnings given once
    cdef set warned
    cdef double rejection_logged_at         # when the last 503 was logged
    cdef long long rejected_requests        # 503 answers since then

    # Until when a head, or a body that the application waits for, may stall at a stop; its last byte arrived at `last`.
    cdef double stalled_deadline(self, double last) noexcept
    # Until when the next bytes of a request body have to arrive, 0 = no limit. The client had time since `since` for
    # the bytes so far; the last one arrived at `last`. awaited: the application cannot continue without the body.
    cdef double body_deadline(self, double since, double last, long long received, bint awaited) noexcept
    cdef int drain(self, bint handover) except -1
    cdef int end_streams(self) except -1
    cdef bytes date_value(self)
    cdef int note_rejection(self, str limit) except -1
    cdef int warn_once(self, str message) except -1
    cdef int reset_in_child(self) except -1
