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

    cdef int on_stream_error(self, int stream, int status, str reason, Request request) except -1:
        raise NotImplementedError

    cdef int on_reset(self, int stream, ErrorCode code, str reason) except -1:
        raise NotImplementedError

    cdef int on_stream_writable(self, int stream) except -1:
        raise NotImplementedError

    cdef int on_stream_sent(self, int stream) except -1:
        raise NotImplementedError

    cdef int on_connection_error(self, ErrorCode code, str reason) except -1:
        raise NotImplementedError

    cdef int on_goaway(self, ErrorCode code) except -1:
        raise NotImplementedError

    cdef int on_drained(self) except -1:
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


@cython.no_gc
cdef class MultiplexedCodec(Codec):
    cdef object owner(self, int stream):
        raise NotImplementedError

    cdef int set_owner(self, int stream, object owner) except -1:
        raise NotImplementedError

    cdef list owners(self):
        raise NotImplementedError

    cdef int consume(self, int stream, Py_ssize_t size) except -1:
        raise NotImplementedError

    cdef bint is_window_used(self) noexcept:
        return False

    cdef int resume_tunnel(self, int stream) except -1:
        raise NotImplementedError

    cdef int end_input(self, int stream, ErrorCode code) except -1:
        raise NotImplementedError

    cdef int fill(self, Py_ssize_t size) except -1:
        raise NotImplementedError

    # They are asked often, and cannot fail.
    cdef Py_ssize_t queued(self, int stream) noexcept:
        return 0

    cdef bint has_queued(self) noexcept:
        return False

    cdef int set_priority(self, int stream, bytes value) except -1:
        # A codec need not have priorities.
        return 0

    cdef double stalled_since(self, int* stream) noexcept:
        return 0

    cdef int reset(self, int stream, ErrorCode code) except -1:
        raise NotImplementedError

    cdef int release(self, int stream) except -1:
        raise NotImplementedError

    cdef int start_drain(self) except -1:
        raise NotImplementedError

    cdef int finish_drain(self) except -1:
        raise NotImplementedError

    cdef int fail_connection(self, ErrorCode code) except -1:
        raise NotImplementedError

    cdef int abandon(self) except -1:
        raise NotImplementedError

    cdef double head_since(self) noexcept:
        return 0


cdef class MultiplexedCodecFactory:
    cdef MultiplexedCodec create(self, OutputOwner connection):
        raise NotImplementedError
