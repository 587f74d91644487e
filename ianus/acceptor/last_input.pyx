"""Reads, or discards, the last bytes of a peer that has closed. The kernel's buffer limits their number.

The poll driver reports a closed peer again and again, so these calls may do nothing while a codec is on the stack.

Compiled because it uses a compiled type: connections.
"""
from ianus.acceptor.connection cimport Connection
from ianus.acceptor.socket_api cimport MSG_TRUNC, recv


cdef enum:
    MAX_READS = 64      # in case of an endless number of bytes, which a closed peer cannot send


cdef int read_rest(Connection connection) except -1:
    cdef int reads = 0
    if connection.in_process_input or connection.host.parsing:
        return 0
    # A session that closes the connection sets `closing`, or the descriptor to -1.
    while connection.fd >= 0 and not connection.eof and not connection.closing and reads < MAX_READS:
        connection.read()
        reads += 1
    return connection.close()


cdef int discard_rest(Connection connection) except -1:
    """Discards all input and closes: the client has finished. Unread input would cause a reset."""
    if connection.host.parsing:
        return 0
    while recv(connection.fd, connection.host.receive_buffer, connection.host.receive_size, MSG_TRUNC) > 0:
        pass
    return connection.close()
