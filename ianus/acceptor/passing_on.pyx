"""Decides whether a connection can be passed to another worker, and passes it.

Compiled because it uses a compiled type: connections.
"""
from ianus.acceptor.connection cimport Connection
from ianus.acceptor.socket_api cimport MSG_PEEK, recv
from ianus.acceptor.transfers cimport Transfers, has_peers


cdef enum:
    PEEK_BYTES = 256        # of a request, by which the session decides whether another worker may serve it


cdef bint pass_on(Connection connection, Transfers transfers) except -1:
    """Passes the connection to another worker with its next request, of which no byte was read."""
    cdef char[PEEK_BYTES] head
    cdef ssize_t size
    # Neither the state of a byte filter nor the header of a proxy is known to the other worker.
    if (
        transfers is None or not has_peers(transfers.serving) or connection.closing or connection.in_process_input
        or connection.resume_scheduled or connection.filter is not None or connection.out is not None
        or connection.fin_seen or connection.session_switched or connection.leftover != NULL
    ):
        return False
    size = recv(connection.fd, head, PEEK_BYTES, MSG_PEEK)
    if size <= 0 or not connection.session.may_pass_on(head, size) or not transfers.put(connection.fd):
        return False
    # Close then omits shutdown(), which would end the connection of the other worker, too.
    connection.resetting = True
    connection.close()
    return True
