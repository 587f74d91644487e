"""A filter between a socket and its connection, such as TLS: it decodes received bytes and encodes output."""
cimport cython

from ianus.codec.output cimport Output, OutputPool, iovec


# Results of receive() in place of a number of bytes
cdef enum:
    NOTHING_RECEIVED = -1   # the socket has no bytes, or they are only a part of a record
    FILTER_FAILED = -2      # the socket has failed, or the peer has violated the protocol of the filter


cdef class ByteFilterFactory:
    """Makes the filters of a listener's connections, and owns the buffer that they share."""
    cdef char* buffer               # malloc'ed, owned by this object; used within one call of a filter
    cdef Py_ssize_t size
    cdef OutputPool pool            # of the encoded bytes

    cdef ByteFilter create(self)


@cython.no_gc
cdef class ByteFilter:
    cdef ByteFilterFactory factory
    # decode() may return up to this number of bytes more than it was given: the first part of a record that it has kept
    cdef Py_ssize_t max_kept_bytes
    cdef bint ended                 # the peer has ended its bytes by the protocol of the filter
    cdef bint failed                # the socket has failed
    cdef Output encoded             # bytes that the socket has not taken, or None
    cdef Py_ssize_t encoded_from    # bytes of the connection's output that they were made of

    # From the connection
    # Receives once into `target`. Returns the number of decoded bytes, 0 at the end, or one of the results above.
    cdef Py_ssize_t receive(self, int fd, char* target, Py_ssize_t space) except? -3
    # Sends pieces of output. Returns the number of their bytes that the socket has taken, encoded; 0 if it takes no
    # more now, -1 if it has failed. After 0 the next call gets the same pieces, perhaps followed by others.
    cdef Py_ssize_t send(self, int fd, const iovec* pieces, int count) except? -2
    # Sends encoded bytes that wait. Returns whether none is left; a failed socket shows itself at the next event.
    cdef bint flush(self, int fd) except -1
    cdef int finish(self, int fd) except -1         # ends our bytes, before the socket is shut down
    cdef int release(self) except -1                # the connection is gone

    # In a subclass; no call may keep the pointers that it gets
    # Decodes received bytes; `space` is enough for them and max_kept_bytes. Returns the number of decoded bytes, or
    # FILTER_FAILED. It may encode an answer of the filter's own, such as that of a handshake.
    cdef Py_ssize_t decode(self, const char* data, Py_ssize_t size, char* target, Py_ssize_t space) except? -3
    cdef int encode(self, const char* data, Py_ssize_t size, Output encoded) except -1
    cdef int encode_end(self, Output encoded) except -1

    cdef Output output(self)
