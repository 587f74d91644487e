"""A sink that records the events of the WebSocket codec, and its writing half for Python; for tests and fuzzers."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from ianus.codec.websocket.codec cimport (
    CLOSE, MAX_HEADER_BYTES, WebSocketCodec, WebSocketSink, close_payload, write_header,
)
from ianus.codec.websocket.deflate cimport Deflate


cdef class WebSocketRecorder(WebSocketSink):
    cdef list events
    cdef WebSocketCodec codec
    cdef bint pausing
    cdef bint reasons

    cdef int on_message(self, object message) except -1:
        # In the call, as a full queue does: feed() stops after this frame.
        self.codec.paused = self.pausing
        self.events.append(("message", message))
        return 0

    cdef int on_ping(self, bytes payload) except -1:
        self.events.append(("ping", payload))
        return 0

    cdef int on_pong(self, bytes payload) except -1:
        self.events.append(("pong", payload))
        return 0

    cdef int on_close(self, int code, str reason) except -1:
        self.events.append(("close", code, reason))
        return 0

    cdef int on_error(self, int code, str reason) except -1:
        self.events.append(("error", code, reason) if self.reasons else ("error", code))
        return 0


def record(
    chunks, *, Py_ssize_t ws_max_size, Deflate deflate=None, bint pausing=False, bint reasons=False
) -> list:
    """Feeds a codec and returns its events: ("message", str or bytes), ("ping", bytes), ("pong", bytes),
    ("close", code, reason), ("error", code) or with reasons=True ("error", code, reason).

    pausing: the sink pauses the codec at each message. Each pause is then an event, ("paused", bytes consumed of
    this chunk), and the rest is passed again.
    """
    cdef WebSocketRecorder recorder = WebSocketRecorder()
    cdef WebSocketCodec codec = WebSocketCodec(ws_max_size)
    cdef Py_ssize_t done, size
    cdef bytes data
    recorder.events = []
    recorder.pausing = pausing
    recorder.reasons = reasons
    # A cycle: the codec has the sink, which has the codec. The `finally` below ends it.
    recorder.codec = codec
    codec.sink = recorder
    codec.deflate = deflate
    try:
        for chunk in chunks:
            data = chunk
            size = PyBytes_GET_SIZE(data)
            # Unless it is paused, a codec takes all bytes.
            done = codec.feed(PyBytes_AS_STRING(data), size)
            while codec.paused:
                recorder.events.append(("paused", done))
                # The application has taken its messages.
                codec.paused = False
                done += codec.feed(PyBytes_AS_STRING(data) + done, size - done)
            if done != size:
                # Fuzzers call this: a codec that keeps bytes back would be a fault.
                raise AssertionError(f"{size - done} bytes were not consumed")
    finally:
        codec.sink = None
    return recorder.events


def frame(int opcode, bytes payload, *, bint compressed=False) -> bytes:
    """Encodes a server's frame."""
    # On the stack; the result has a copy.
    cdef unsigned char header[MAX_HEADER_BYTES]
    cdef int size = write_header(header, opcode, compressed, PyBytes_GET_SIZE(payload))
    return (<char*>header)[:size] + payload


def close_frame(int code, str reason) -> bytes:
    return frame(CLOSE, close_payload(code, reason))


def compress(Deflate deflate, bytes data) -> bytes:
    return deflate.compress(data)
