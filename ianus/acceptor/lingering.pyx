"""Limits of lingering connections.

Facts: an honest client that lingers sends the rest of an upload, and is gone in a second or two. An attacker can linger
on purpose, with many connections, sending nothing or as much as the network carries. Strategy: the number of lingering
connections is limited, and so is the rate at which the input of all of them is discarded; the session
limits how long each may take.

Compiled because it handles connections.
"""
import resource
from collections import OrderedDict

from ianus.exchange.base cimport Session, Transport
from ianus.runtime.clock cimport monotonic


cdef enum:
    MAX_LINGERING = 1024            # connections
    PIECE_BYTES = 65536             # discarded by one connection in a turn
    TURN_BYTES = 4194304            # discarded by all connections in one turn of each
    WINDOW_BYTES = 33554432         # discarded by all connections in WINDOW_SECONDS

cdef double WINDOW_SECONDS = 0.1


cdef class Lingering:
    """limit_connections: maximum number of open connections, 0 for no limit."""

    def __init__(self, int limit_connections):
        self.connections = OrderedDict()
        self.limit = max_lingering(limit_connections)

    cdef int add(self, int connection_id, Transport connection) except -1:
        cdef LingeringConnection lingering = LingeringConnection.__new__(LingeringConnection)
        lingering.transport = connection
        lingering.since = lingering.last = monotonic()
        # At the limit the oldest one is closed, so that attackers that keep theirs open do not lock out other clients.
        self.connections[connection_id] = lingering
        if len(self.connections) > self.limit:
            # close() calls remove() through the reactor, so this dictionary shrinks during the call.
            (<LingeringConnection>next(iter(self.connections.values()))).transport.close()
        return 0

    cdef int note_input(self, int connection_id, Py_ssize_t size, double now) except -1:
        cdef LingeringConnection lingering = self.connections[connection_id]
        lingering.received += size
        lingering.last = now
        return 0

    cdef double deadline(self, int connection_id, Session session) except? -1:
        cdef LingeringConnection lingering = self.connections[connection_id]
        return session.discard_deadline(lingering.since, lingering.last, lingering.received)

    cdef int remove(self, int connection_id) except -1:
        del self.connections[connection_id]
        return 0

    cdef Py_ssize_t share(self, double now) except -1:
        # All lingering connections together discard at most TURN_BYTES in a turn, however many there are.
        cdef Py_ssize_t size = TURN_BYTES // (<Py_ssize_t>len(self.connections) + 1)
        if now - self.window_start >= WINDOW_SECONDS:
            self.window_start = now
            self.window_left = WINDOW_BYTES
        # 0 once the window is used up. The connection is then called again by its timer.
        size = min(size, PIECE_BYTES, self.window_left)
        self.window_left -= size
        return size

    cdef int clear(self) except -1:
        self.connections.clear()
        return 0


cdef Py_ssize_t max_lingering(int limit_connections) except -1:
    """Returns a quarter of the connections that may be open, by limit_connections and by the limit of open files."""
    cdef Py_ssize_t limit = MAX_LINGERING
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files != resource.RLIM_INFINITY:
        limit = min(limit, files // 4)
    if limit_connections:
        limit = min(limit, limit_connections // 4)
    return max(limit, 1)
