"""Receives by the byte filter of a connection, and starts a filter within a connection.

Compiled because it uses a compiled type: connections.
"""
from ianus.acceptor.byte_filter cimport FILTER_FAILED, NOTHING_RECEIVED, ByteFilter
from ianus.acceptor.connection cimport Connection, ConnectionHost, Leftover, drop_leftover, keep_leftover
from ianus.exchange.base cimport Session


cdef Py_ssize_t receive_filtered(Connection connection, char* target, Py_ssize_t space) except? -3:
    """Receives once by the filter. Returns as its receive(); NOTHING_RECEIVED also if the connection is closing."""
    cdef ByteFilter filter = connection.filter
    # The variable keeps a session that run() replaces.
    cdef Session session = connection.session
    cdef bint handshaking = filter.handshaking
    cdef Py_ssize_t n = filter.receive(connection.fd, target, space)
    if filter.ended:
        connection.eof = connection.fin_seen = True
    if handshaking and not filter.handshaking:
        connection.host.watch(connection, connection.events)
    if handshaking and not filter.failed and (n == FILTER_FAILED or not filter.handshaking):
        # Replaces itself by the session of the protocol, which gets the bytes; or closes after the alert.
        session.run()
        if connection.fd < 0 or connection.closing:
            return NOTHING_RECEIVED
    return n


cdef int start_filter(Connection connection, ByteFilter filter) except -1:
    """Has a filter decode all bytes that the session before has not taken."""
    cdef ConnectionHost host = connection.host
    cdef Leftover* leftover = connection.leftover
    cdef Py_ssize_t n = NOTHING_RECEIVED
    connection.filter = filter
    host.watch(connection, connection.events)
    if leftover != NULL:
        # No codec is on the stack, so the receive buffer is free. The bytes are a few records at most: the first ones
        # of a handshake, which the peer cannot continue without an answer.
        n = filter.decode(
            leftover.data + leftover.start, leftover.end - leftover.start, host.receive_buffer, host.receive_size
        )
        drop_leftover(connection)
        filter.flush(connection.fd)
    if n == FILTER_FAILED:
        # It closes the connection after the alert.
        return connection.session.run() if filter.handshaking else connection.close()
    return keep_leftover(connection, host.receive_buffer, n) if n > 0 else 0
