"""Abstract bases of the codecs; base.pxd is their commented index."""
cimport cython


@cython.no_gc
cdef class Request:
    def __init__(self):
        # Codecs use __new__(), which does not call this.
        raise TypeError("requests are made by codecs")


@cython.no_gc
cdef class Sink:
    cdef int on_request(self, int stream, Request request) except -1:
        # All raise: a sink that misses an event would lose a part of a request.
        raise NotImplementedError

    cdef int on_body(self, int stream, const char* data, Py_ssize_t size) except -1:
        raise NotImplementedError

    cdef int on_trailers(self, int stream, list fields) except -1:
        raise NotImplementedError

    cdef int on_end(self, int stream) except -1:
        raise NotImplementedError

    cdef Py_ssize_t on_tunnel(self, int stream, const char* data, Py_ssize_t size) except -1:
        raise NotImplementedError

    cdef int on_error(self, int status, str reason) except -1:
        raise NotImplementedError


cdef class HeadEncoder:
    cdef object encode(self, int status, bytes reason, const Field* fields, Py_ssize_t count):
        raise NotImplementedError


@cython.no_gc
cdef class Codec:
    # These raise, since a codec without one of them could not be used by a session.
    cdef Py_ssize_t feed(self, const char* data, Py_ssize_t size) except -1:
        raise NotImplementedError

    # The safe answer: all bodies are fed.
    cdef long long unread_body(self, int stream) noexcept:
        return 0

    cdef int skip_body(self, int stream, long long size) except -1:
        raise NotImplementedError

    cdef int send_informational(self, int stream, object head) except -1:
        raise NotImplementedError

    cdef int send_head(self, int stream, object head, Framing framing, long long length, bint close) except -1:
        raise NotImplementedError

    cdef int send_body(self, int stream, bytes data) except -1:
        raise NotImplementedError

    cdef int send_data(self, int stream, const char* data, Py_ssize_t size) except -1:
        raise NotImplementedError

    cdef int send_file(self, int stream, FileRange file) except -1:
        raise NotImplementedError

    cdef int send_end(self, int stream) except -1:
        raise NotImplementedError

    cdef int send_trailers(self, int stream, const Field* fields, Py_ssize_t count) except -1:
        raise NotImplementedError


@cython.no_gc
cdef class SerialCodec(Codec):
    cdef bint wants_input(self) noexcept:
        # The safe answers: nothing more is read, and the response is the last one.
        return False

    cdef bint in_message(self) noexcept:
        return False

    cdef int next_message(self) except -1:
        raise NotImplementedError

    cdef int discard_body(self) except -1:
        # Nothing to do for a codec that does not limit bodies by a count.
        return 0

    cdef Request unfinished(self):
        return None

    cdef bint persists(self) noexcept:
        return False

    cdef bint close_delimited(self) noexcept:
        return False


cdef class SerialCodecFactory:
    cdef SerialCodec create(self, OutputOwner connection):
        raise NotImplementedError
