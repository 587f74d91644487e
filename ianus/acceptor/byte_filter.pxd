"""A filter between a socket and its connection, such as TLS: it decodes received bytes and encodes output."""
cimport cython

from ianus.codec.output cimport Output, OutputPool, iovec
from ianus.exchange.base cimport Session, SessionFactory, Transport, flag


# Results of receive() in place of a number of bytes
cdef enum:
    NOTHING_RECEIVED = -1   # the socket has no bytes, or they are only a part of a record
    FILTER_FAILED = -2      # the socket has failed, or the peer has violated the protocol of the filter


cdef enum:
    ENCODE_BYTES = 65536    # bytes of output that are encoded for one send


cdef struct EncodedBytes:
    char* data              # malloc'ed, owned by the factory of the filters
    Py_ssize_t size, capacity


# Appends a copy of data. Returns -1 without an exception if there is no memory.
cdef int append_encoded(EncodedBytes* encoded, const char* data, Py_ssize_t size) noexcept


cdef class ByteFilterFactory:
    """Makes the filters of a listener's connections, and owns the buffers that they share."""
    cdef char* buffer               # of received bytes; malloc'ed, owned by this object
    cdef Py_ssize_t size
    # Bytes that a filter has just encoded. Empty between two calls of filters: they are sent, or moved to `unsent`.
    cdef EncodedBytes encoded
    cdef OutputPool pool            # of the outputs in `unsent`
    # Called when may_accept() becomes true after it was false, then None
    cdef object on_capacity

    cdef ByteFilter create(self)
    # Makes the first session of a connection with a filter of this factory.
    cdef Session create_session(self, Transport transport, ByteFilter created, SessionFactory sessions)
    # Whether a further connection may be accepted now
    cdef bint may_accept(self) noexcept
    cdef int reset_in_child(self) except -1     # this is the child of a fork: nothing is logged any more


@cython.no_gc
cdef class ByteFilter:
    cdef ByteFilterFactory factory
    # decode() may return up to this number of bytes more than it was given: the first part of a record that it has kept
    cdef Py_ssize_t max_kept_bytes
    # A handshake is under way: nothing is decoded yet, and each decode() takes long. The connection calls run() of its
    # session once after the handshake, perhaps with bytes that were received after it.
    cdef flag handshaking
    cdef flag ended                 # the peer has ended its bytes by the protocol of the filter
    cdef flag failed                # the socket has failed
    cdef Output unsent              # encoded bytes that the socket has not taken, or None
    cdef Py_ssize_t encoded_from    # bytes of the connection's output that they were made of

    # From the connection
    # Receives once into `target`. Returns the number of decoded bytes, 0 at the end, or one of the results above.
    cdef Py_ssize_t receive(self, int fd, char* target, Py_ssize_t space) except? -3
    # Sends pieces of output. Returns the number of their bytes that the socket has taken, encoded; 0 if it takes no
    # more now, -1 if it has failed. After 0 the next call gets the same pieces, perhaps followed by others.
    cdef Py_ssize_t send(self, int fd, const iovec* pieces, int count) except? -2
    # Sends encoded bytes. Returns whether none is left; a failed socket shows itself at the next event.
    cdef bint flush(self, int fd) except -1
    cdef int finish(self, int fd) except -1         # ends our bytes, before the socket is shut down
    cdef int release(self) except -1                # the connection is gone
    # Whether the peer does not take the filter's own answers, so that no more of its bytes may be read
    cdef bint is_congested(self) noexcept

    # In a subclass; no call may keep the pointers that it gets. Encoded bytes are appended to those of the factory.
    # Decodes received bytes; `space` is enough for them and max_kept_bytes. Returns the number of decoded bytes, or
    # FILTER_FAILED. It may encode an answer of the filter's own, such as that of a handshake.
    cdef Py_ssize_t decode(self, const char* data, Py_ssize_t size, char* target, Py_ssize_t space) except? -3
    # Encodes up to ENCODE_BYTES of the pieces. Returns the number of bytes that it has encoded.
    cdef Py_ssize_t encode(self, const iovec* pieces, int count) except -1
    cdef int encode_end(self) except -1

    cdef bint send_unsent(self, int fd) except -1
    cdef int keep_unsent(self, const char* data, Py_ssize_t size) except -1
