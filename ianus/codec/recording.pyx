"""A sink that records the events of an HTTP codec, for tests and fuzzers."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from ianus.codec.base cimport Request, SerialCodec, Sink
from ianus.codec.http1.codec import Http1Factory
from ianus.codec.http1.codec cimport Http1Factory as CHttp1Factory
from ianus.codec.limits cimport Limits
from ianus.codec.output cimport OutputOwner


cdef class HttpRecorder(Sink):
    cdef list events
    cdef list body
    cdef bint failed
    cdef bint reasons

    def __cinit__(self):
        self.events = []
        self.body = []

    cdef int on_request(self, int stream, Request request) except -1:
        # Copied: a recorded event must not change with the request.
        self.events.append((
            "request",
            {
                "method": request.method,
                "target": request.target,
                "path": request.path,
                "raw_path": request.raw_path,
                "query_string": request.query_string,
                "http_version": request.http_version,
                "headers": list(request.headers),
                "keep_alive": request.keep_alive,
                "expect_continue": request.expect_continue,
            },
        ))
        return 0

    cdef int on_body(self, int stream, const char* data, Py_ssize_t size) except -1:
        # The bytes are valid during this call only.
        self.body.append(PyBytes_FromStringAndSize(data, size))
        return 0

    cdef int on_trailers(self, int stream, list fields) except -1:
        self.flush()
        self.events.append(("trailers", list(fields)))
        return 0

    cdef int on_end(self, int stream) except -1:
        self.flush()
        self.events.append(("end",))
        return 0

    cdef int on_error(self, int status, str reason) except -1:
        self.flush()
        # After an error the codec must discard all input; feed() is called further to show that it does.
        self.failed = True
        self.events.append(("error", status, reason) if self.reasons else ("error", status))
        return 0

    cdef int flush(self) except -1:
        """Records all pieces of a body as one event, independent of how they were cut."""
        if self.body:
            self.events.append(("body", b"".join(self.body)))
            self.body = []
        return 0


def record(chunks, *, Limits limits not None, bint eof=False, bint reasons=False) -> list:
    """Feeds an HTTP/1 codec as a connection would and returns its events.

    Bytes that the codec does not consume are passed again with the next chunk. After each message its
    response counts as sent. Events: ("request", dict), ("body", bytes) with all pieces of a message joined,
    ("trailers", list), ("end",), ("error", status) or with reasons=True ("error", status, reason), and with eof=True
    ("incomplete",) when the input ends inside a message.
    """
    cdef HttpRecorder recorder = HttpRecorder()
    cdef CHttp1Factory factory = Http1Factory(limits)
    # It writes nothing, so its connection needs no output.
    cdef SerialCodec codec = factory.create(OutputOwner())
    cdef bytes pending = b""
    cdef Py_ssize_t used
    codec.sink = recorder
    # Fuzzers compare with other parsers, whose reasons differ.
    recorder.reasons = reasons
    for chunk in chunks:
        # As a connection's leftover: bytes that were not consumed are passed again in front of new ones.
        pending += chunk
        while pending:
            used = codec.feed(PyBytes_AS_STRING(pending), PyBytes_GET_SIZE(pending))
            pending = pending[used:]
            if codec.wants_input() or recorder.failed:
                break
            # The session does this when the response is complete.
            codec.next_message()
        # The message ended with the last byte of this piece, and no byte was left to enter the loop above.
        if not recorder.failed and not codec.wants_input():
            codec.next_message()
    # The body of a message that never ended
    recorder.flush()
    if eof and not recorder.failed and (pending or codec.in_message()):
        recorder.events.append(("incomplete",))
    return recorder.events
