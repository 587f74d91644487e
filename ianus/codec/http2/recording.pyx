"""A connection of HTTP/2 whose events are recorded, for tests and fuzzers."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, malloc
from posix.unistd cimport dup

from ianus.codec.base cimport (
    FRAMING_DECLARED, FRAMING_LENGTH, FRAMING_STREAM, FRAMING_TUNNEL, ErrorCode, Framing, HeadEncoder, Request,
    Sink,
)
from ianus.codec.fields cimport Field
from ianus.codec.file_range cimport file_range
from ianus.codec.http2.codec cimport Http2Codec, Http2Factory
from ianus.codec.http2.priority cimport DEFAULT_URGENCY, Priority, parse_priority
from ianus.codec.limits cimport Limits
from ianus.codec.output cimport Output, OutputOwner, OutputPool, iovec, release_output, take_output


FRAMINGS = {
    "declared": FRAMING_DECLARED, "length": FRAMING_LENGTH, "stream": FRAMING_STREAM, "tunnel": FRAMING_TUNNEL,
}


cdef class Http2Recorder(Sink):
    cdef readonly list events
    # Bytes of tunnels that are still accepted, -1 = all
    cdef public long long tunnel_room

    def __cinit__(self):
        self.events = []
        self.tunnel_room = -1

    cdef int add_bytes(self, str kind, int stream, bytes data) except -1:
        # Pieces of one stream that follow each other are one event, independent of how they were cut.
        if self.events and self.events[len(self.events) - 1][:2] == (kind, stream):
            data = self.events.pop()[2] + data
        self.events.append((kind, stream, data))
        return 0

    cdef int on_request(self, int stream, Request request) except -1:
        self.events.append(("request", stream, request_facts(request)))
        return 0

    cdef int on_body(self, int stream, const char* data, Py_ssize_t size) except -1:
        return self.add_bytes("body", stream, PyBytes_FromStringAndSize(data, size))

    cdef int on_trailers(self, int stream, list fields) except -1:
        self.events.append(("trailers", stream, list(fields)))
        return 0

    cdef int on_end(self, int stream) except -1:
        self.events.append(("end", stream))
        return 0

    cdef Py_ssize_t on_tunnel(self, int stream, const char* data, Py_ssize_t size) except -1:
        if self.tunnel_room >= 0:
            size = min(size, <Py_ssize_t>self.tunnel_room)
            self.tunnel_room -= size
        if size:
            self.add_bytes("tunnel", stream, PyBytes_FromStringAndSize(data, size))
        return size

    cdef int on_error(self, int status, str reason) except -1:
        raise AssertionError("HTTP/2 has errors of streams and of connections")

    cdef int on_stream_error(self, int stream, int status, str reason, Request request) except -1:
        self.events.append(("stream error", stream, status, reason))
        return 0

    cdef int on_reset(self, int stream, ErrorCode code, str reason) except -1:
        self.events.append(("reset", stream, <int>code, reason))
        return 0

    cdef int on_stream_writable(self, int stream) except -1:
        self.events.append(("writable", stream))
        return 0

    cdef int on_stream_sent(self, int stream) except -1:
        self.events.append(("sent", stream))
        return 0

    cdef int on_connection_error(self, ErrorCode code, str reason) except -1:
        self.events.append(("connection error", <int>code, reason))
        return 0

    cdef int on_goaway(self, ErrorCode code) except -1:
        self.events.append(("goaway", <int>code))
        return 0

    cdef int on_drained(self) except -1:
        self.events.append(("drained",))
        return 0


cdef dict request_facts(Request request):
    # Copied: a recorded event must not change with the request.
    return {
        "method": request.method,
        "target": request.target,
        "path": request.path,
        "query_string": request.query_string,
        "http_version": request.http_version,
        "headers": list(request.headers),
        "content_length": request.content_length,
        "protocol": request.protocol,
    }


cdef class ObservedConnection:
    """The state of a codec."""
    cdef Http2Codec codec
    cdef OutputOwner connection

    @property
    def streams(self) -> int:
        return self.codec.streams

    @property
    def glitch_points(self) -> int:
        return self.codec.glitches.points

    @property
    def is_window_used(self) -> bool:
        return self.codec.is_window_used()

    @property
    def head_since(self) -> float:
        return self.codec.head_since()

    @property
    def has_queued(self) -> bool:
        return self.codec.has_queued()

    @property
    def output_size(self) -> int:
        return 0 if self.connection.out is None else self.connection.out.size

    @property
    def block_size(self) -> int:
        """Bytes of an incomplete field block that are kept."""
        return self.codec.block.size

    @property
    def early_priorities(self) -> int:
        return 0 if self.codec.early_priorities is None else len(self.codec.early_priorities)

    @property
    def table_room(self) -> int:
        return self.codec.table.room

    def queued(self, int stream) -> int:
        return self.codec.queued(stream)

    def stalled_since(self) -> tuple:
        cdef int stream = -1
        since = self.codec.stalled_since(&stream)
        return since, stream


cdef class RecordedOutput(OutputOwner):
    """A connection as its codec sees it."""
    cdef OutputPool outputs

    def __init__(self):
        self.outputs = OutputPool()

    cdef Output output(self):
        return take_output(self, self.outputs)


cdef class RecordedConnection(ObservedConnection):
    """A codec with a recorder as its sink, and the calls of a session as Python methods."""
    cdef Http2Recorder recorder
    cdef HeadEncoder encoder
    cdef bytes pending

    def __init__(
        self, Limits limits not None, *, int max_concurrent_streams=128, int stream_window=262144,
        int connection_window=1048576, bint extended_connect=True,
    ):
        factory = Http2Factory(
            limits, max_concurrent_streams=max_concurrent_streams, stream_window=stream_window,
            connection_window=connection_window, extended_connect=extended_connect,
        )
        self.connection = RecordedOutput()
        self.encoder = (<Http2Factory>factory).encoder
        self.recorder = Http2Recorder()
        self.codec = <Http2Codec>(<Http2Factory>factory).create(self.connection)
        self.codec.sink = self.recorder
        self.codec.now = 1
        self.pending = b""

    def feed(self, bytes data not None) -> int:
        """Feeds bytes as a connection does, and returns how many it keeps for the next call."""
        cdef Py_ssize_t used
        self.pending += data
        used = self.codec.feed(PyBytes_AS_STRING(self.pending), PyBytes_GET_SIZE(self.pending))
        self.pending = self.pending[used:]
        return len(self.pending)

    def take_events(self) -> list:
        """Returns the events since the last call."""
        events, self.recorder.events = self.recorder.events, []
        return events

    def take_output(self) -> bytes:
        """Returns the output since the last call, as if it had been sent. fill() is not called."""
        cdef Output out = self.connection.out
        cdef iovec* vector
        cdef int count
        if out is None:
            return b""
        vector = <iovec*>malloc((len(out.queue) + 1) * sizeof(iovec))
        count = out.pieces(vector, <int>len(out.queue) + 1)
        data = b"".join([(<char*>vector[i].iov_base)[:vector[i].iov_len] for i in range(count)])
        free(vector)
        assert len(data) == out.size, "the output counts its bytes"
        release_output(self.connection, (<RecordedOutput>self.connection).outputs)
        return data

    def take_output_by(self, Py_ssize_t size) -> bytes:
        """The same, taken in parts of up to `size` bytes, as a socket takes them."""
        cdef Output out = self.connection.out
        cdef iovec vector[2]
        cdef Py_ssize_t left, part
        cdef int count, index
        cdef bytearray data = bytearray()
        while out is not None and out.size:
            count = out.pieces(vector, 2)
            left = size
            for index in range(count):
                part = min(left, <Py_ssize_t>vector[index].iov_len)
                data += (<char*>vector[index].iov_base)[:part]
                left -= part
            out.sent(size - left)
        release_output(self.connection, (<RecordedOutput>self.connection).outputs)
        return bytes(data)

    def set_now(self, double now) -> None:
        self.codec.now = now

    def set_tunnel_room(self, long long size) -> None:
        """Limits the bytes of tunnels that the sink takes from now on; -1 for no limit."""
        self.recorder.tunnel_room = size

    # The session's calls

    def send_head(
        self, int stream, int status=200, fields=(), *, str framing="stream", long long length=0
    ) -> None:
        cdef Field* array = new_fields(fields)
        cdef object head
        try:
            head = self.encoder.encode(status, None, array, len(fields))
        finally:
            free(array)
        self.codec.send_head(stream, head, <Framing><int>FRAMINGS[framing], length, False)

    def send_informational(self, int stream, int status, fields=()) -> None:
        cdef Field* array = new_fields(fields)
        try:
            head = self.encoder.encode(status, None, array, len(fields))
        finally:
            free(array)
        self.codec.send_informational(stream, head)

    def send_body(self, int stream, bytes data not None) -> None:
        self.codec.send_body(stream, data)

    def send_data(self, int stream, bytes data not None) -> None:
        self.codec.send_data(stream, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

    def send_file(self, int stream, int fd, long long offset, long long count) -> None:
        self.codec.send_file(stream, file_range(dup(fd), offset, count))

    def send_end(self, int stream) -> None:
        self.codec.send_end(stream)

    def send_trailers(self, int stream, fields) -> None:
        cdef Field* array = new_fields(fields)
        try:
            self.codec.send_trailers(stream, array, len(fields))
        finally:
            free(array)

    def respond(self, int stream, bytes body not None, int status=200, fields=()) -> None:
        """A whole response, whose application call then returns."""
        self.send_head(stream, status, fields, framing="length", length=len(body))
        if body:
            self.codec.send_body(stream, body)
        self.codec.send_end(stream)
        self.codec.release(stream)

    def fill(self, Py_ssize_t size=262144) -> None:
        self.codec.fill(size)

    def consume(self, int stream, Py_ssize_t size) -> None:
        self.codec.consume(stream, size)

    def resume_tunnel(self, int stream) -> None:
        self.codec.resume_tunnel(stream)

    def end_input(self, int stream, int code=0) -> None:
        self.codec.end_input(stream, <ErrorCode>code)

    def reset(self, int stream, int code) -> None:
        self.codec.reset(stream, <ErrorCode>code)

    def release(self, int stream) -> None:
        self.codec.release(stream)

    def set_priority(self, int stream, bytes value not None) -> None:
        self.codec.set_priority(stream, value)

    def set_owner(self, int stream, owner) -> None:
        self.codec.set_owner(stream, owner)

    def owner(self, int stream):
        return self.codec.owner(stream)

    def owners(self) -> list:
        return self.codec.owners()

    def start_drain(self) -> None:
        self.codec.start_drain()

    def finish_drain(self) -> None:
        self.codec.finish_drain()

    def fail_connection(self, int code) -> None:
        self.codec.fail_connection(<ErrorCode>code)

    def abandon(self) -> None:
        self.codec.abandon()


cdef Field* new_fields(object fields) except NULL:
    """An array for the pairs of bytes, which keep it valid. The caller frees it."""
    cdef Field* array = <Field*>malloc((len(fields) + 1) * sizeof(Field))
    cdef Py_ssize_t i
    for i, (name, value) in enumerate(fields):
        array[i].name, array[i].name_size = PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)
        array[i].value, array[i].value_size = PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)
    return array


def read_priority(bytes value not None) -> tuple:
    """Returns urgency and incremental of a value of the Priority field."""
    cdef Priority priority
    priority.urgency = DEFAULT_URGENCY
    priority.incremental = False
    parse_priority(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), &priority)
    return priority.urgency, bool(priority.incremental)
