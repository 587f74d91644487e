"""Counts requests and WebSockets in flight, for the limits and for a stop.

Each exchange has a mark of two bytes. So it is removed exactly once, at the first of its possible ends.

Compiled because every request passes here: 71 instructions.
"""
from ianus.telemetry.in_flight cimport InFlight


cdef class InFlightCounter:
    """The numbers of requests and WebSockets whose application calls have not returned.

    limit_concurrency, limit_websockets: maximum numbers, 0 for no limit. limit_thread_websockets: maximum number of
    WebSockets whose calls hold a thread, 0 if none may.
    """

    def __init__(self, *, int limit_concurrency, Py_ssize_t limit_websockets, Py_ssize_t limit_thread_websockets):
        self.limit_concurrency = limit_concurrency
        self.limit_websockets = limit_websockets
        self.limit_thread_websockets = limit_thread_websockets
        self.has_limits = limit_concurrency != 0 or limit_websockets != 0

    def publish(self, InFlight listed not None) -> None:
        """Lists requests in `listed`. Must be called before the first one arrives."""
        # Shared memory, which this object keeps mapped.
        self.listed = listed

    cdef str exceeded_limit(self, InFlightKind kind):
        if kind == COUNTED_WEBSOCKET or kind == COUNTED_THREAD_WEBSOCKET:
            # Separate limits: WebSockets stay open for hours, and must not use up the limit of requests.
            if self.limit_websockets and self.websockets >= self.limit_websockets:
                return f"limit-websockets ({self.limit_websockets})"
            if kind == COUNTED_THREAD_WEBSOCKET and self.thread_websockets >= self.limit_thread_websockets:
                return f"threads for WebSockets ({self.limit_thread_websockets}; raise --threads or --max-threads)"
        elif kind == COUNTED_REQUEST and self.limit_concurrency and self.requests >= self.limit_concurrency:
            return f"limit-concurrency ({self.limit_concurrency})"
        return None

    cdef int add(self, InFlightMark* mark, InFlightKind kind, str method, bytes target) except -1:
        # The mark is inside of the exchange, which outlives its count. remove() reads it.
        mark.kind = <unsigned char>kind
        if kind == COUNTED_WEBSOCKET or kind == COUNTED_THREAD_WEBSOCKET:
            self.websockets += 1
            self.thread_websockets += kind == COUNTED_THREAD_WEBSOCKET
            if self.listed is not None:
                self.listed.note_websockets(self.websockets)
            return 0
        self.requests += 1
        if self.listed is not None:
            # Only requests: the list is for the report of a crash, and has few entries.
            mark.entry = self.listed.claim(method, target)
        return 0

    cdef int remove(self, InFlightMark* mark) except -1:
        cdef unsigned char kind = mark.kind
        # By the mark and not by the class: an exchange is removed as it was added.
        if kind == COUNTED_WEBSOCKET or kind == COUNTED_THREAD_WEBSOCKET:
            # First, so that a second call finds nothing to remove.
            mark.kind = COUNT_ENDED
            self.websockets -= 1
            self.thread_websockets -= kind == COUNTED_THREAD_WEBSOCKET
            if self.listed is not None:
                self.listed.note_websockets(self.websockets)
        elif kind == COUNTED_REQUEST:
            mark.kind = COUNT_ENDED
            self.requests -= 1
            if self.listed is not None:
                self.listed.release(mark.entry)
        return 0

    cdef int reset_in_child(self) except -1:
        # The memory is shared with the parent, whose requests it lists.
        self.listed = None
        return 0


cdef class MarkedExchange:
    """The mark of an exchange; for tests."""
    # Zero from its creation: NOT_COUNTED
    cdef InFlightMark mark

    def add(self, InFlightCounter counter not None, *, bint websocket, bint thread=False) -> None:
        """Counts it as a request, or as a WebSocket, which may hold a thread."""
        counter.add(&self.mark, kind_of(websocket, thread), "GET", b"/marked")

    def remove(self, InFlightCounter counter not None) -> None:
        """Ends its count."""
        counter.remove(&self.mark)


def exceeded_limit(InFlightCounter counter not None, *, bint websocket, bint thread=False):
    """Returns the limit that another request, or WebSocket, would exceed, or None; for tests."""
    return counter.exceeded_limit(kind_of(websocket, thread))


cdef InFlightKind kind_of(bint websocket, bint thread) noexcept:
    if not websocket:
        return COUNTED_REQUEST
    return COUNTED_THREAD_WEBSOCKET if thread else COUNTED_WEBSOCKET
