"""The steps of a stop after Reactor.drain().

Compiled because it uses compiled types: connections and their sessions.
"""
from ianus.acceptor.accepting cimport Accepting
from ianus.acceptor.connection cimport Connection
from ianus.acceptor.connection_table cimport ConnectionTable


cdef class Draining:
    """The stop of the connections in `table`."""

    def __cinit__(self, Accepting accepting not None, ConnectionTable table not None):
        self.accepting = accepting
        self.table = table

    def end_streams(self) -> None:
        """Ends event streams and requests that only wait, after Reactor.drain()."""
        self.accepting.end_streams()
        self.table.drain_sessions()

    def count_conversations(self) -> int:
        """Returns the number of WebSockets and event streams that are to be ended by end_conversations()."""
        cdef Connection connection
        cdef int count = 0
        for connection in self.table.open_connections():
            count += connection.session.end_conversation(False)
        return count

    def end_conversations(self, int count) -> None:
        """Ends `count` WebSockets and event streams, in the order of the connections' ids."""
        cdef Connection connection
        for connection in self.table.open_connections():
            if count == 0:
                break
            # The end of an earlier one may have closed it, since the number of lingering connections is limited.
            if connection.fd >= 0:
                count -= connection.session.end_conversation(True)

    def end_rest(self) -> None:
        """Ends all WebSockets and event streams that are still open, after Service.end_spread()."""
        self.table.drain_sessions()
