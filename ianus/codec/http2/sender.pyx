"""Sends responses on many streams.

Facts: the usual response is a head and one small piece, sent at once. Strategy: a head waits until the next call.
If that call is the end of the response, head and body are written at once into the connection's output, END_STREAM in
the last frame. All else is queued by stream, and fill() moves it when the connection has space, so that a response of
higher priority need not wait for one that was queued before.

Heads are compressed when they are written, so the client's table sees them in this order (RFC 7541 section 2.2).

States of a stream (RFC 9113 section 5.1), by the two flags of Http2Stream:

    input_ended  output_ended   state                   ended by
    0            0              open                    -
    1            0              half-closed (remote)    END_STREAM of DATA or HEADERS. read_data(), end_head()
    0            1              half-closed (local)     END_STREAM of the response. end_output()
    1            1              closed                  both, or RST_STREAM of either side. end_stream()

Compiled because it handles every request of HTTP/2.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject

from ianus.codec.base cimport (
    FRAMING_LENGTH, FRAMING_TUNNEL, INTERNAL_ERROR, ErrorCode, Framing, MultiplexedCodec,
)
from ianus.codec.fields cimport Field
from ianus.codec.file_range cimport FileRange
from ianus.codec.http2.frames cimport (
    CONTINUATION, DATA, END_HEADERS, END_STREAM, FRAME_HEADER_BYTES, HEADERS, MAX_FRAME_BYTES, write_frame_header,
    write_reset,
)
from ianus.codec.http2.glitches cimport PIECE_POINTS, RESPONSE_POINTS, SENT_BYTES_PER_POINT, add_points
from ianus.codec.http2.hpack_encoder cimport MAX_TABLE_UPDATE_BYTES, HpackEncoder
from ianus.codec.http2.priority cimport Priority, parse_priority
from ianus.codec.http2.recent_streams cimport add_recent
from ianus.codec.http2.response cimport MAX_LENGTH_FIELD_BYTES, Http2Head, encode_length, encode_literals
from ianus.codec.http2.scheduler cimport Scheduler
from ianus.codec.http2.stall cimport end_stall, note_admitted, pause_stall, start_stall
from ianus.codec.http2.stream cimport (
    NO_TUNNEL, NOWHERE, SCHEDULED, STALLED, TUNNEL_OPEN, Http2Stream, append_stream, insert_before, unlink_stream,
)
from ianus.codec.http2.stream_table cimport clear_table, find_stream, listed_streams, remove_stream
from ianus.codec.output cimport BLOCK_BYTES, COPY_LIMIT_BYTES, Output, output_of


cdef enum:
    # Output of the connection above which even a small complete response is queued, and so waits for its turn.
    DIRECT_BYTES = 65536
    LOW_WATER_BYTES = 32768     # queued bytes of a stream at which the session may send more


@cython.no_gc
cdef class Http2Sender(MultiplexedCodec):
    def __dealloc__(self):
        clear_table(&self.table)

    # ---------------------------------------------------------------- streams

    cdef object owner(self, int stream):
        cdef PyObject* entry = find_stream(&self.table, stream)     # borrowed from the table
        return None if entry == NULL else (<Http2Stream>entry).owner

    cdef int set_owner(self, int stream, object owner) except -1:
        cdef PyObject* entry = find_stream(&self.table, stream)     # borrowed from the table
        if entry != NULL:
            (<Http2Stream>entry).owner = owner
        return 0

    cdef list owners(self):
        owners = [(<Http2Stream>entry).owner for entry in listed_streams(&self.table)]
        return [owner for owner in owners if owner is not None]

    cdef Http2Stream open_stream(self, int stream):
        cdef PyObject* entry = find_stream(&self.table, stream)     # borrowed from the table
        if entry == NULL or (<Http2Stream>entry).output_ended:
            return None
        return <Http2Stream>entry

    cdef int reset(self, int stream, ErrorCode code) except -1:
        cdef PyObject* found = find_stream(&self.table, stream)     # borrowed from the table
        cdef Http2Stream entry
        if found == NULL:
            return 0
        entry = <Http2Stream>found
        if entry.input_ended and entry.output_ended:
            # A closed stream has no frames (RFC 9113 section 5.1).
            return 0
        self.end_stream(entry)
        entry.discard_output()
        write_reset(output_of(self.connection), stream, code)
        return self.forget_if_over(entry)

    cdef int end_stream(self, Http2Stream entry) except -1:
        if not entry.input_ended:
            # Frames that the client has sent meanwhile do not violate the protocol (RFC 9113 section 5.1).
            add_recent(&self.dropped, self.last_stream, entry.id)
        entry.input_ended = entry.output_ended = entry.was_reset = True
        self.drop_held(entry)
        if self.staged is entry:
            self.staged = self.staged_block = None
        return self.unschedule(entry)

    cdef int drop_held(self, Http2Stream entry) except -1:
        raise NotImplementedError

    cdef int forget_if_over(self, Http2Stream entry) except -1:
        if not entry.input_ended or not entry.output_ended or not entry.released:
            return 0
        remove_stream(&self.table, entry.id)
        self.streams = self.table.count
        return self.note_drained() if self.streams == 0 else 0

    cdef int note_drained(self) except -1:
        if not self.drained and self.streams == 0 and (self.drain == DRAIN_FINAL or self.client_left):
            # Once
            self.drained = True
            return self.sink.on_drained()
        return 0

    # ---------------------------------------------------------------- responses

    cdef int send_informational(self, int stream, object head) except -1:
        if self.open_stream(stream) is None:
            return 0
        self.commit_staged()
        return self.write_block(stream, (<Http2Head>head).literals, -1, 0)

    cdef int send_head(self, int stream, object head, Framing framing, long long length, bint close) except -1:
        # close: a response does not end a connection of many (RFC 9113 section 8.2.2). The session drains it.
        cdef Http2Stream entry = self.open_stream(stream)
        cdef bytes priority = (<Http2Head>head).priority
        if entry is None:
            return 0
        self.commit_staged()
        if priority is not None:
            self.change_priority(entry, PyBytes_AS_STRING(priority), PyBytes_GET_SIZE(priority))
        # Not written yet: the length of a small body that follows at once is not known.
        self.staged = entry
        self.staged_block = (<Http2Head>head).literals
        self.staged_length = length if framing == FRAMING_LENGTH else -1
        if framing == FRAMING_TUNNEL:
            entry.tunnel = TUNNEL_OPEN
            return self.commit_staged()
        if entry.tunnel != NO_TUNNEL:
            # The extended CONNECT is refused, so its bytes have no recipient.
            entry.tunnel = NO_TUNNEL
            entry.input_unwanted = True
            return self.drop_held(entry)
        return 0

    cdef int send_body(self, int stream, bytes data) except -1:
        cdef Http2Stream entry = self.open_stream(stream)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        if entry is None or size == 0:
            return 0
        entry.put(data, size)
        add_points(&self.glitches, PIECE_POINTS)
        return 0 if self.staged is entry else self.schedule(entry)

    cdef int send_data(self, int stream, const char* data, Py_ssize_t size) except -1:
        return self.send_body(stream, PyBytes_FromStringAndSize(data, size))

    cdef int send_file(self, int stream, FileRange file) except -1:
        cdef Http2Stream entry = self.open_stream(stream)
        if entry is None or file.left == 0:
            return 0
        entry.put(file, <Py_ssize_t>file.left)
        return 0 if self.staged is entry else self.schedule(entry)

    cdef int send_end(self, int stream) except -1:
        cdef Http2Stream entry = self.open_stream(stream)
        cdef Py_ssize_t size
        if entry is None:
            return 0
        entry.end_queued = True
        if self.staged is not entry:
            return 0 if entry.queued else self.end_output(entry)
        size = entry.queued
        if size == 0:
            # No DATA frame at all: END_STREAM is in the head.
            self.staged = None
            self.write_block(stream, self.staged_block, self.staged_length, END_STREAM)
            entry.output_ended = True
            return self.end_output(entry)
        # More than one frame, a closed window, output of others before it, or a file: fill() moves it in its turn.
        if (
            size > MAX_FRAME_BYTES or size > entry.send_window or size > self.send_window
            or self.connection.output().size >= DIRECT_BYTES or type(entry.piece) is FileRange
        ):
            return self.commit_staged()
        self.staged = None
        self.write_block(stream, self.staged_block, self.staged_length, 0)
        # It has END_STREAM, since nothing is queued after it.
        if not self.write_data(entry, size):
            return fail_output(self, entry)
        return self.end_output(entry)

    cdef int send_trailers(self, int stream, const Field* fields, Py_ssize_t count) except -1:
        cdef Http2Stream entry = self.open_stream(stream)
        if entry is None:
            return 0
        entry.trailers = encode_literals(fields, count)
        entry.end_queued = True
        if self.staged is entry:
            self.commit_staged()
        return 0 if entry.queued or entry.output_ended else self.end_output(entry)

    cdef int end_output(self, Http2Stream entry) except -1:
        """Writes the end, unless the last frame had it, and its consequences."""
        cdef Output out = output_of(self.connection)
        cdef char header[FRAME_HEADER_BYTES]
        cdef bytes trailers = entry.trailers
        if trailers is not None:
            entry.trailers = None
            self.write_block(entry.id, trailers, -1, END_STREAM)
        elif not entry.output_ended:
            write_frame_header(header, 0, DATA, END_STREAM, entry.id)
            out.write(header, FRAME_HEADER_BYTES)
        entry.output_ended = True
        if not entry.was_refused:
            # Useful work: an application has answered.
            add_points(&self.glitches, RESPONSE_POINTS)
        if entry.input_unwanted and (not entry.input_ended or entry.reset_queued):
            # RFC 9113 section 8.1: the client need not send the rest.
            if not entry.input_ended:
                add_recent(&self.dropped, self.last_stream, entry.id)
            entry.input_ended = True
            # Without an error, or with that of a refused request.
            write_reset(out, entry.id, <ErrorCode>entry.reset_after)
        self.sink.on_stream_sent(entry.id)
        return self.forget_if_over(entry)

    cdef int commit_staged(self) except -1:
        """Writes the head that waits, without its body."""
        cdef Http2Stream entry = self.staged
        if entry is None:
            return 0
        self.staged = None
        self.write_block(entry.id, self.staged_block, self.staged_length, 0)
        return self.schedule(entry) if entry.queued else 0

    # ---------------------------------------------------------------- the queues

    cdef int schedule(self, Http2Stream entry) except -1:
        """Links a stream whose head was sent and that has output."""
        if entry.queued > LOW_WATER_BYTES:
            entry.congested = True
        if entry.place != NOWHERE:
            return 0
        if entry.send_window > 0:
            if self.scheduler is None:
                self.scheduler = Scheduler.__new__(Scheduler)
            entry.place = SCHEDULED
            self.scheduler.add(entry)
            return note_blocked(self)
        return suspend(self, entry)

    cdef int unschedule(self, Http2Stream entry) except -1:
        """Unlinks a stream without output."""
        unlink(self, entry)
        end_stall(&entry.stall)
        # Streams that are stalled still wait for both windows.
        if self.first_stalled == NULL and (self.scheduler is None or not self.scheduler.occupied):
            end_stall(&self.stall)
        return 0

    cdef int fill(self, Py_ssize_t size) except -1:
        cdef Output out
        cdef PyObject* entry    # borrowed from the scheduler, and so from the table
        self.commit_staged()
        if self.scheduler is None or not self.scheduler.occupied:
            return 0
        out = output_of(self.connection)
        while out.size < size:
            entry = self.scheduler.next()
            if entry == NULL:
                break
            if self.send_window <= 0:
                # The streams stay scheduled: WINDOW_UPDATE of the connection admits them again.
                break
            serve(self, <Http2Stream>entry)
        return 0

    cdef bint write_data(self, Http2Stream entry, Py_ssize_t size) except -1:
        """Writes a DATA frame with the next bytes of a stream. Returns False, and writes nothing, if a file has not as
        many.
        """
        cdef Output out = output_of(self.connection)
        cdef bint last = entry.queued == size and entry.end_queued and entry.trailers is None
        cdef unsigned char flags = END_STREAM if last else 0
        cdef bint fits = not out.queue and size + FRAME_HEADER_BYTES <= BLOCK_BYTES - out.end
        if fits or size < COPY_LIMIT_BYTES or not write_part(out, entry, size, flags):
            if not write_copy(out, entry, size, flags):
                return False
        entry.send_window -= <int>size
        self.send_window -= size
        note_admitted(&entry.stall, size)
        note_admitted(&self.stall, size)
        note_blocked(self)
        add_points(&self.glitches, size // SENT_BYTES_PER_POINT)
        if last:
            entry.output_ended = True
        return True

    cdef Py_ssize_t queued(self, int stream) noexcept:
        cdef PyObject* entry = find_stream(&self.table, stream)     # borrowed from the table
        return 0 if entry == NULL else (<Http2Stream>entry).queued

    cdef bint has_queued(self) noexcept:
        return self.staged is not None or (
            self.scheduler is not None and self.scheduler.occupied and self.send_window > 0
        )

    cdef double stalled_since(self, int* stream) noexcept:
        cdef double first = 0
        if self.first_stalled != NULL:
            first = (<Http2Stream>self.first_stalled).stall.since
            stream[0] = (<Http2Stream>self.first_stalled).id
        if self.stall.since and (first == 0 or self.stall.since < first):
            stream[0] = 0
            return self.stall.since
        return first

    cdef int change_window(self, Http2Stream entry, int size) except -1:
        entry.send_window += size
        if (entry.place == STALLED and entry.send_window > 0) or (entry.place == SCHEDULED and entry.send_window <= 0):
            unlink(self, entry)
            return self.schedule(entry)
        return 0

    # ---------------------------------------------------------------- priorities

    cdef int set_priority(self, int stream, bytes value) except -1:
        cdef Http2Stream entry = self.open_stream(stream)
        return 0 if entry is None else self.change_priority(entry, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))

    cdef int change_priority(self, Http2Stream entry, const char* value, Py_ssize_t size) except -1:
        cdef Priority priority = entry.priority
        cdef bint scheduled = entry.place == SCHEDULED
        # A value that is not a dictionary does not change the priority.
        parse_priority(value, size, &priority)
        if scheduled:
            # It is linked by its priority.
            self.scheduler.remove(entry)
        entry.priority = priority
        return self.scheduler.add(entry) if scheduled else 0

    # ---------------------------------------------------------------- field blocks

    cdef int write_block(self, int stream, bytes literals, long long length, unsigned char flags) except -1:
        """Writes a field block. length: of a Content-Length to add, -1 for none."""
        cdef Output out = output_of(self.connection)
        cdef Py_ssize_t room = (
            PyBytes_GET_SIZE(literals) + <Py_ssize_t>MAX_TABLE_UPDATE_BYTES + <Py_ssize_t>MAX_LENGTH_FIELD_BYTES
        )
        cdef Py_ssize_t size
        cdef char* block
        if self.hpack_encoder is None:
            self.hpack_encoder = HpackEncoder.__new__(HpackEncoder)
            apply_table_sizes(self)
        if out.queue or room > MAX_FRAME_BYTES or room + FRAME_HEADER_BYTES > BLOCK_BYTES - out.end:
            return write_long_block(self, stream, literals, length, flags)
        block = out.block + out.end + FRAME_HEADER_BYTES
        size = self.hpack_encoder.compress(literals, block)
        if length >= 0:
            size = encode_length(block + size, length) - block
        write_frame_header(out.block + out.end, size, HEADERS, flags | END_HEADERS, stream)
        out.end += size + FRAME_HEADER_BYTES
        out.size += size + FRAME_HEADER_BYTES
        return 0


cdef int write_long_block(
    Http2Sender sender, int stream, bytes literals, long long length, unsigned char flags
) except -1:
    """The same for a block that does not fit into the output's block, or not into one frame."""
    cdef Output out = output_of(sender.connection)
    cdef Py_ssize_t size = (
        PyBytes_GET_SIZE(literals) + <Py_ssize_t>MAX_TABLE_UPDATE_BYTES + <Py_ssize_t>MAX_LENGTH_FIELD_BYTES
    )
    cdef Py_ssize_t done = 0, part
    cdef bytes buffer = PyBytes_FromStringAndSize(NULL, size)
    cdef char* block = PyBytes_AS_STRING(buffer)
    cdef char header[FRAME_HEADER_BYTES]
    size = sender.hpack_encoder.compress(literals, block)
    if length >= 0:
        size = encode_length(block + size, length) - block
    while True:
        part = min(size - done, <Py_ssize_t>MAX_FRAME_BYTES)
        # END_STREAM belongs to HEADERS, END_HEADERS to the last frame (RFC 9113 section 6.10).
        write_frame_header(
            header, part, CONTINUATION if done else HEADERS,
            (0 if done else flags) | (END_HEADERS if done + part == size else 0), stream,
        )
        out.write(header, FRAME_HEADER_BYTES)
        out.write(block + done, part)
        done += part
        if done == size:
            return 0


cdef int unlink(Http2Sender sender, Http2Stream entry) except -1:
    if entry.place == SCHEDULED:
        sender.scheduler.remove(entry)
    elif entry.place == STALLED:
        unlink_stream(&sender.first_stalled, entry)
        pause_stall(&entry.stall, sender.now)
    entry.place = NOWHERE
    return 0


cdef int suspend(Http2Sender sender, Http2Stream entry) except -1:
    """Links a stream that waits for its window."""
    cdef PyObject* later = sender.first_stalled
    entry.place = STALLED
    start_stall(&entry.stall, sender.now)
    if later == NULL or (<Http2Stream>(<Http2Stream>later).previous).stall.since <= entry.stall.since:
        return append_stream(&sender.first_stalled, entry)
    # Its time continues.
    while (<Http2Stream>later).stall.since <= entry.stall.since:
        later = (<Http2Stream>later).next
    return insert_before(&sender.first_stalled, later, entry)


cdef bint write_part(Output out, Http2Stream entry, Py_ssize_t size, unsigned char flags) except -1:
    """Writes a DATA frame that refers to the application's bytes. Returns False if they are not in one object."""
    cdef char header[FRAME_HEADER_BYTES]
    cdef Py_ssize_t start
    cdef bytes data = entry.take_part(size, &start)
    if data is None:
        return False
    write_frame_header(header, size, DATA, flags, entry.id)
    out.write(header, FRAME_HEADER_BYTES)
    out.write_range(data, start, size)
    return True


cdef bint write_copy(Output out, Http2Stream entry, Py_ssize_t size, unsigned char flags) except -1:
    """Writes a DATA frame with a copy of the bytes. Returns False if a file has not as many."""
    cdef bytes frame = None
    cdef char* at
    if not out.queue and size + FRAME_HEADER_BYTES <= BLOCK_BYTES - out.end:
        # Copied once, into the block that is sent.
        at = out.block + out.end
    else:
        frame = PyBytes_FromStringAndSize(NULL, size + FRAME_HEADER_BYTES)
        at = PyBytes_AS_STRING(frame)
    if entry.take(at + FRAME_HEADER_BYTES, size) < size:
        return False
    write_frame_header(at, size, DATA, flags, entry.id)
    if frame is None:
        out.end += size + FRAME_HEADER_BYTES
    else:
        # Not by write_bytes(), which would copy a short one again.
        out.queue.append(frame)
    out.size += size + FRAME_HEADER_BYTES
    return True


cdef int serve(Http2Sender sender, Http2Stream entry) except -1:
    """Writes one frame of a stream."""
    cdef long long window = min(<long long>entry.send_window, sender.send_window)
    cdef Py_ssize_t size = min(min(entry.queued, <Py_ssize_t>MAX_FRAME_BYTES), <Py_ssize_t>window)
    if not sender.write_data(entry, size):
        return fail_output(sender, entry)
    if entry.queued == 0:
        sender.unschedule(entry)
        if entry.end_queued:
            return sender.end_output(entry)
    elif entry.send_window <= 0:
        unlink(sender, entry)
        suspend(sender, entry)
    else:
        sender.scheduler.rotate(entry)
    if entry.congested and entry.queued <= LOW_WATER_BYTES:
        entry.congested = False
        sender.sink.on_stream_writable(entry.id)
    return 0


cdef int fail_output(Http2Sender sender, Http2Stream entry) except -1:
    """The client must not take a part of a file for all of it."""
    write_reset(output_of(sender.connection), entry.id, INTERNAL_ERROR)
    sender.end_stream(entry)
    sender.sink.on_reset(entry.id, INTERNAL_ERROR, "file shrank or became unreadable while being sent")
    entry.discard_output()
    return sender.forget_if_over(entry)


cdef int note_blocked(Http2Sender sender) noexcept:
    """Called when output starts to wait, and when the window of the connection is used up."""
    if sender.send_window > 0 or sender.stall.since:
        return 0
    if sender.scheduler is not None and sender.scheduler.occupied:
        start_stall(&sender.stall, sender.now)
    return 0


cdef int apply_table_sizes(Http2Sender sender) noexcept:
    # Also the smallest of several sizes has an effect (RFC 7541 section 4.2).
    sender.hpack_encoder.set_max_table_size(sender.client.min_table_size)
    sender.hpack_encoder.set_max_table_size(sender.client.table_size)
    sender.client.min_table_size = sender.client.table_size
    return 0
