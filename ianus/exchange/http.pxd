"""One request and its one response, the same for every protocol below and every gateway above."""
cimport cython
from ianus.codec.base cimport Framing, HeadEncoder, Request
from ianus.codec.file_range cimport FileRange
from ianus.exchange.base cimport ExchangeHost, flag
from ianus.exchange.connection_info cimport ConnectionInfo
from ianus.exchange.gateway cimport Gateway
from ianus.exchange.in_flight_counter cimport InFlightKind, InFlightMark
from ianus.exchange.response_head cimport ResponseFacts
from ianus.exchange.service cimport Service


cdef enum:
    HIGH_WATER = 65536      # bytes buffered in one direction at which the faster side has to wait
    GATHER_BYTES = 262144   # bytes of a response that are sent in one call, to a client that takes all of them
    MAX_DISCARDED_BYTES = 65536  # bytes that are left of a request body up to which its connection is kept for them


@cython.no_gc
cdef class Response:
    """The response of an exchange, from its prepared head to its last piece.

    It has no reference to its exchange, which would be a cycle: each call passes the exchange.
    """
    cdef object head                # prepared by the encoder, until it is sent
    cdef flag no_body               # HEAD, 204, 304: the application's body is thrown away
    cdef flag close                 # the application asked for Connection: close
    cdef flag flush_each_piece      # each piece of the body is sent at once, not together with the next ones
    cdef flag trailers_follow       # trailers follow the body, and end the response
    cdef flag body_complete         # ... whose last piece was there
    cdef list trailers              # those of them that are to be sent, or None when the client gets none
    cdef flag defer_completion      # the next request of the connection waits for more than the end of the response
    cdef flag completion_deferred   # ... which has been sent: Exchange.complete() is the gateway's to call
    cdef flag is_event_stream       # an event stream, as an EventSource asks for one: by GET
    cdef long long declared_length  # Content-Length, -1 = not declared
    cdef long long computed_length  # bytes of a body whose Content-Length we declare ourselves, -1 = not known

    # From the gateway
    cdef int start(self, Exchange exchange, int status, object head, const ResponseFacts* facts) except -1
    cdef int send_hints(self, Exchange exchange, object head) except -1
    cdef int send_body(self, Exchange exchange, bytes data, bint more) except -1
    cdef int send_file(self, Exchange exchange, FileRange file, bint more, bint waits) except -1
    cdef int send_trailers(self, Exchange exchange, object headers, bint more) except -1
    cdef int send_head_now(self, Exchange exchange) except -1
    # Inside
    cdef bint prepare_piece(self, Exchange exchange, long long size, bint more) except -1
    cdef int piece_sent(self, Exchange exchange, bint more) except -1
    cdef int send_head(self, Exchange exchange, Framing framing, long long length, bint whole) except -1
    cdef int fail_on_length(self, Exchange exchange, long long size) except -1


@cython.no_gc
cdef class Exchange:
    # Links. The session is None once the response is complete or the connection is lost.
    cdef ExchangeHost session
    cdef Service service
    cdef Gateway gateway            # whose application it is for
    cdef readonly Request request
    cdef readonly ConnectionInfo connection
    cdef int stream
    cdef ExchangeHost call_host     # a session that counts the stream until the application has returned, or None
    cdef InFlightMark in_flight     # written by service.in_flight alone
    cdef flag has_call              # a call of its application runs, or waits for a thread

    # Request body: bytes that have arrived and were not taken
    cdef object body                # None, bytes, or a bytearray of several pieces
    cdef readonly bint request_complete     # the whole request has arrived
    cdef flag has_unread_input      # something arrived since the gateway was notified
    cdef flag awaits_continue       # the client waits for 100
    cdef double body_since          # since when the body is read, or could be
    cdef double body_last           # when bytes of it arrived last
    cdef long long body_received    # bytes since body_since
    cdef Py_ssize_t buffered        # bytes in `body`

    # Response
    cdef Response response          # None while nothing of one was prepared, and after a 101
    cdef readonly int status        # 0 = not started
    cdef flag tunnel                # after a 101: the input is not HTTP, and this is a TunnelExchange
    cdef readonly bint head_sent
    cdef readonly bint response_complete
    cdef long long bytes_sent       # bytes of the body so far

    cdef readonly bint disconnected  # the client cannot be answered any more
    cdef flag stopped               # the server stops, and this response ends because of that
    cdef bint peer_finished         # the client will send nothing more; it may still read
    cdef flag peer_finished_early   # ... which was seen before the response started
    cdef flag response_aborted      # abort_response() was called
    # For the observer. Positions count the bytes of the connection's output.
    cdef double started             # CLOCK_MONOTONIC seconds of the first byte of the request
    cdef long long head_end         # position of the first byte of a body of unknown length, else 0
    cdef long long end_position     # position after the last byte of the response, 0 = it is not queued yet
    cdef Exchange next_unreported   # the next response of the connection that has ended and not left
    cdef bytes request_id           # None unless there is a field for it
    cdef list response_headers      # (lower-case name, value), if the observer wants them
    # Reports of proxies, besides `connection`
    cdef readonly str prefix        # part of the path that a proxy has removed from the target, or None
    cdef readonly double queued_since   # CLOCK_MONOTONIC seconds at which it was received first; 0 = not of interest
    cdef readonly double queue_time  # seconds from then until the application was called; 0 = not known
    cdef flag shares_queue_time     # the application gets it

    # From the session
    cdef int body_arrived(self, const char* data, Py_ssize_t size) except -1
    cdef int request_ended(self) except -1
    cdef int disconnect(self) except -1
    cdef int drain(self) except -1                  # the server stops
    cdef int stop_stream(self) except -1            # it is an event stream, and the server stops
    cdef int end_events(self) except -1             # ends an event stream before its application does
    cdef double stop_deadline(self) noexcept        # when a stopped one is ended, 0 = its application was notified
    cdef Py_ssize_t untaken_bytes(self) noexcept    # of the body, which the client has to wait for
    cdef bint awaits_body(self) noexcept            # nothing happens before more of the request's body arrives
    cdef bint is_busy(self) noexcept                # the stop has to wait for it
    # To the gateway: call the application; no codec is on the stack. Whether it runs only after the loop's callbacks
    cdef bint start(self) except -1
    # From the session's run(): input has arrived, and no codec is on the stack. Returns as notify_readable()
    cdef bint on_input(self) except -1
    # To the gateway: an event that an application may wait for. Whether one continues after the callbacks
    cdef bint notify_readable(self) except -1
    cdef int notify_writable(self) except -1
    cdef int flush_deferred(self) except -1         # after the loop's callbacks: the application may have suspended
    # The last word about it. unsent: bytes of the response that the kernel did not take
    cdef int report_end(self, long long unsent) except -1
    # From the gateway
    cdef bytes take_body(self)                      # the bytes that have arrived
    cdef bint accepts_body(self) noexcept           # more of it should be read
    cdef int want_body(self) except -1              # the application asks for more
    cdef InFlightKind in_flight_kind(self) noexcept     # how it is counted
    cdef int add_in_flight(self) except -1          # its application is about to be called, or to be put off
    cdef int remove_in_flight(self) except -1       # ... has returned, or is not called; only the first call counts
    cdef int send_error(self, int status, str detail, list fields, bint close) except -1
    cdef bint congested(self) noexcept              # the client does not read its output
    cdef int abort_response(self) except -1         # the response cannot be completed
    cdef int fail_with_500(self) except -1          # the application ended without a whole response
    cdef int report(self, str event, object error) except -1
    # Inside
    cdef int complete(self) except -1


cdef Response new_response()
# Takes the body without a notice to the session, as the thread of a call has to, for a complete body.
cdef bytes detach_body(Exchange exchange)
# Method and target, for the log.
cdef str request_line(Exchange exchange)
# Too many application calls, by the name of the limit: answers 503, and the connection lives on.
cdef int reject_over_limit(Exchange exchange, str limit) except -1
# Whether the response is an event stream whose end has not started.
cdef bint is_open_stream(Exchange exchange) noexcept
# The application is called: the queue time of the request ends.
cdef int note_call(Exchange exchange) noexcept
# Checks the start of the application's response and returns its head, for Response.start(). Any thread may call it.
cdef object prepare_response(
    Exchange exchange, HeadEncoder encoder, int status, bytes reason, object headers, bint native, bint trailers,
    ResponseFacts* facts,
)
# Raises ValueError, to the application, for a status that is not final.
cdef int check_final(int status) except -1
# Whether no response with this status has a body, with any fields (RFC 9112 section 6.3).
cdef bint has_no_body(Request request, int status) noexcept
# Whether the client wants trailers (RFC 9110 section 6.5.1).
cdef bint accepts_trailers(Request request) except -1
# Whether it asks for an event stream, as an EventSource does.
cdef bint asks_for_events(Request request) except -1
