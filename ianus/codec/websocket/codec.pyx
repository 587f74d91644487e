"""The WebSocket codec: one state machine over headers and payloads, no socket, no clock.

Strategy: a message received in one piece is unmasked straight into its Python object; other messages are gathered by
`Message` as they arrive. An error is reported at the first byte that proves it.

Rules of this file:
- Input gives the same events however it is cut into pieces, so all code paths make the same checks in the same order.
  (For wrong DEFLATE just after the limit, either error may be reported.)
- Memory grows by the bytes received, inflated, never by the length in a header, and never above the limit.
- After fail() and after a close frame nothing is parsed any more: feed() discards all input.

Compiled because every frame of every WebSocket passes here: 395 instructions for an echo of 128 bytes.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memcpy

from ianus.codec.websocket.masking cimport rotate_key, unmask
from ianus.codec.websocket.message cimport Message


cdef extern from "Python.h":
    str PyUnicode_New(Py_ssize_t size, Py_UCS4 max_char)
    void* PyUnicode_DATA(object text) noexcept
    Py_ssize_t PY_SSIZE_T_MAX

cdef enum:
    FIN = 0x80
    RSV1 = 0x40         # the message is compressed (RFC 7692 section 6)
    RESERVED = 0x30     # RSV2 and RSV3
    OPCODE = 0x0F
    MASK = 0x80
    LENGTH = 0x7F
    LENGTH_16 = 126     # the length is in the next two bytes
    LENGTH_64 = 127     # or in eight

cdef enum:
    MAX_REASON_BYTES = 123  # bytes: a close frame's payload without the code


# All raise, as those of Sink in codec/base.
@cython.no_gc
cdef class WebSocketSink:
    cdef int on_message(self, object message) except -1:
        raise NotImplementedError

    cdef int on_ping(self, bytes payload) except -1:
        raise NotImplementedError

    cdef int on_pong(self, bytes payload) except -1:
        raise NotImplementedError

    cdef int on_close(self, int code, str reason) except -1:
        raise NotImplementedError

    cdef int on_error(self, int code, str reason) except -1:
        raise NotImplementedError


@cython.no_gc
@cython.final
cdef class WebSocketCodec:
    """ws_max_size: bytes of a message, inflated; 0 for any size."""

    def __init__(self, Py_ssize_t ws_max_size):
        # inflate_piece() asks for one byte more than the limit, which must not overflow.
        assert 0 <= ws_max_size < PY_SSIZE_T_MAX
        self.ws_max_size = ws_max_size if ws_max_size else PY_SSIZE_T_MAX - 1

    # ---------------------------------------------------------------- frames

    cdef Py_ssize_t feed(self, const char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t done = 0, part
        while done < size:
            if self.state == ENDED:
                return size
            if self.state == HEADER:
                # Between frames only: a frame that has started is read to its end, so that the buffers stay small.
                if self.paused and self.header_size == 0:
                    return done
                done += self.read_header(<const unsigned char*>data + done, size - done)
                # The header is incomplete, or was refused.
                if self.state != PAYLOAD:
                    continue
            # An empty payload is complete at once.
            part = size - done
            # The rest is the next frame's.
            if self.left < <unsigned long long>part:
                part = <Py_ssize_t>self.left
            self.read_payload(<const unsigned char*>data + done, part)
            done += part
        return done

    cdef Py_ssize_t read_header(self, const unsigned char* data, Py_ssize_t size) except -1:
        """Base framing (RFC 6455 section 5.2). Returns the bytes consumed, of a header that may not be complete."""
        cdef Py_ssize_t used = 0
        # The usual case: the whole header is here, and is not copied.
        if self.header_size == 0 and size >= 2 and size >= header_size(data):
            if self.check_start(data):
                self.start_payload(data)
            # Also after an error, since feed() discards the rest anyway.
            return header_size(data)
        while used < size:
            self.header[self.header_size] = data[used]
            self.header_size += 1
            used += 1
            # As soon as the two bytes are here: an error is reported at the first byte that proves it.
            if self.header_size == 2 and not self.check_start(self.header):
                break
            if self.header_size >= 2 and self.header_size == header_size(self.header):
                # Before the payload, which may be empty and complete.
                self.header_size = 0
                self.start_payload(self.header)
                break
        return used

    cdef bint check_start(self, const unsigned char* header) except -1:
        """Checks the first two bytes of a header; returns whether they are valid."""
        cdef int opcode = header[0] & OPCODE
        if not header[1] & MASK:
            # RFC 6455 section 5.1: a client masks all its frames.
            return self.fail(PROTOCOL_ERROR, "frame that is not masked")
        if header[0] & RESERVED:
            # RFC 6455 section 5.2: no extension that uses RSV2 or RSV3 was negotiated.
            return self.fail(PROTOCOL_ERROR, "reserved bit")
        if header[0] & RSV1 and (self.deflate is None or (opcode != TEXT and opcode != BINARY)):
            # RFC 7692 section 6: it belongs to the first frame of a message.
            return self.fail(PROTOCOL_ERROR, "RSV1 without compression")
        if opcode >= CLOSE:
            if opcode > PONG:
                # RFC 6455 section 5.2
                return self.fail(PROTOCOL_ERROR, "reserved opcode")
            # RFC 6455 section 5.5
            if not header[0] & FIN:
                return self.fail(PROTOCOL_ERROR, "control frame in fragments")
            if (header[1] & LENGTH) > MAX_CONTROL_BYTES:
                return self.fail(PROTOCOL_ERROR, "control frame over 125 bytes")
        elif opcode > BINARY:
            return self.fail(PROTOCOL_ERROR, "reserved opcode")
        elif opcode == CONTINUATION:
            # RFC 6455 section 5.4
            if self.message is None:
                # A message exists from its first frame on, also if that was empty.
                return self.fail(PROTOCOL_ERROR, "continuation of no message")
        # Section 5.4: fragments of two messages are not interleaved.
        elif self.message is not None:
            return self.fail(PROTOCOL_ERROR, "message inside another one")
        return True

    cdef int start_payload(self, const unsigned char* header) except -1:
        cdef unsigned long long length = header[1] & LENGTH
        cdef int i, start = 2
        cdef Py_ssize_t gathered
        if length >= LENGTH_16:
            start = 4 if length == LENGTH_16 else 10
            length = 0
            for i in range(2, start):
                # Network byte order
                length = length << 8 | header[i]
            # RFC 6455 section 5.2: the shortest form, and the highest bit of 64 is 0.
            if length < (LENGTH_16 if start == 4 else 0x10000) or length >> 63:
                return self.fail(PROTOCOL_ERROR, "length not in its shortest form")
        self.opcode = header[0] & OPCODE
        if self.opcode < CLOSE:
            # Not set by a control frame, which may arrive between two fragments.
            self.final = header[0] & FIN
            if self.opcode != CONTINUATION:
                # RFC 7692 section 6: the bit of the first frame is valid for the whole message.
                self.compressed = header[0] & RSV1
            # The size of a compressed message is checked when it is inflated.
            # That of others is checked before the payload is received, so that no memory is reserved for it.
            gathered = 0 if self.message is None else self.message.size
            if not self.compressed and length > <unsigned long long>(self.ws_max_size - gathered):
                return self.fail(TOO_BIG, "message too big")
        # RFC 6455 section 5.3: the key is the end of the header, and another one for each frame.
        memcpy(self.key, header + start, 4)
        self.left = length
        self.state = PAYLOAD
        return 0

    cdef int read_payload(self, const unsigned char* data, Py_ssize_t size) except -1:
        """Reads `size` bytes, the whole payload or the part of it that was received."""
        # A control frame touches neither `message` nor `final`, so a fragmented message continues after it.
        if self.opcode >= CLOSE:
            return self.read_control(data, size)
        if (
            self.message is None and self.final and not self.compressed
            and <unsigned long long>size == self.left
        ):
            return self.read_whole(data, size)
        return self.read_piece(data, size)

    # ---------------------------------------------------------------- messages

    cdef int read_whole(self, const unsigned char* data, Py_ssize_t size) except -1:
        """Reads a message of one frame that was received as a whole: the usual case."""
        cdef bytes binary
        cdef str text
        # First: the sink may pause the codec, which is for the next frame.
        self.state = HEADER
        if self.opcode == BINARY:
            # Filled in place before any other code gets a reference.
            binary = PyBytes_FromStringAndSize(NULL, size)
            unmask(<unsigned char*>PyBytes_AS_STRING(binary), data, size, self.key)
            return self.sink.on_message(binary)
        # Made for ASCII, which is written in place. Otherwise UTF-8 is decoded from the same memory. No other code has
        # a reference to the object yet, so it may be changed.
        # unmask() returns whether all bytes are ASCII.
        text = PyUnicode_New(size, 127)
        if not unmask(<unsigned char*>PyUnicode_DATA(text), data, size, self.key):
            text = decode(<const char*>PyUnicode_DATA(text), size)
            if text is None:
                return self.fail(INVALID_DATA, "text that is not UTF-8")
        return self.sink.on_message(text)

    cdef int read_piece(self, const unsigned char* data, Py_ssize_t size) except -1:
        """Reads a fragment, or the part of a frame that was received."""
        cdef Message message = self.message
        cdef bint last = self.final and <unsigned long long>size == self.left, is_ascii
        cdef Py_ssize_t limit
        cdef object whole
        # The first piece. From here on check_start() knows that a message is open.
        if message is None:
            message = self.message = Message.__new__(Message)
            message.text = self.opcode == TEXT
        if self.compressed:
            # Also for an empty last piece: the end of the message must reach the decompressor.
            self.inflate_piece(data, size, last)
        elif size:
            # Of a final frame the whole size is known, so no more than that is reserved.
            limit = message.size + <Py_ssize_t>self.left if self.final else self.ws_max_size
            is_ascii = unmask(message.reserve(size, limit), data, size, self.key)
            if not message.add(size, is_ascii):
                self.fail(INVALID_DATA, "text that is not UTF-8")
        # The sink has the error; nothing below may report a message.
        if self.state == ENDED:
            return 0
        # RFC 6455 section 5.3: octet i is masked by octet i modulo 4 of the key.
        rotate_key(self.key, size)
        self.left -= size
        # The frame continues in the next piece.
        if self.left:
            return 0
        self.state = HEADER
        if not last:
            return 0
        # Before the sink is called, which gets the object of the message.
        self.message = None
        whole = message.finish()
        if whole is None:
            return self.fail(INVALID_DATA, "text that ends inside a character")
        return self.sink.on_message(whole)

    cdef int inflate_piece(self, const unsigned char* data, Py_ssize_t size, bint last) except -1:
        cdef Message message = self.message
        cdef Py_ssize_t allowed = self.ws_max_size - message.size, inflated
        # A copy: the bytes are masked in the receive buffer, and zlib takes an object.
        cdef bytes piece = PyBytes_FromStringAndSize(NULL, size)
        unmask(<unsigned char*>PyBytes_AS_STRING(piece), data, size, self.key)
        # One byte more than the limit allows proves that the message is too big.
        # The bound protects from a small message that inflates to a huge one.
        piece = self.deflate.inflate(piece, allowed + 1, last)
        if piece is None:
            return self.fail(INVALID_DATA, "message that is not DEFLATE")
        inflated = min(PyBytes_GET_SIZE(piece), allowed)
        if inflated:
            memcpy(message.reserve(inflated, self.ws_max_size), PyBytes_AS_STRING(piece), inflated)
            # Before the limit, as if the bytes were received one by one.
            if not message.add(inflated, False):
                return self.fail(INVALID_DATA, "text that is not UTF-8")
        if PyBytes_GET_SIZE(piece) > allowed:
            return self.fail(TOO_BIG, "message too big")
        return 0

    # ---------------------------------------------------------------- control frames

    cdef int read_control(self, const unsigned char* data, Py_ssize_t size) except -1:
        cdef bytes control = self.control
        # At most 125 bytes, as check_start() has seen.
        if control is None:
            control = self.control = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>self.left)
        unmask(
            # After the bytes of earlier pieces. `left` has not been reduced yet.
            <unsigned char*>PyBytes_AS_STRING(control) + PyBytes_GET_SIZE(control) - <Py_ssize_t>self.left,
            data, size, self.key,
        )
        rotate_key(self.key, size)
        self.left -= size
        if self.left:
            return 0
        # The object is the sink's now.
        self.control = None
        self.state = HEADER
        return self.end_control(control)

    cdef int end_control(self, bytes payload) except -1:
        if self.opcode == PING:
            return self.sink.on_ping(payload)
        # RFC 6455 section 5.5.3: also one without a ping, as a sign of life
        if self.opcode == PONG:
            return self.sink.on_pong(payload)
        return self.end_connection(payload)

    cdef int end_connection(self, bytes payload) except -1:
        """A close frame (RFC 6455 section 5.5.1): two bytes of code, then a reason."""
        cdef const unsigned char* data = <const unsigned char*>PyBytes_AS_STRING(payload)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(payload)
        cdef int code
        cdef str reason
        if size == 0:
            code, reason = NO_CODE, ""
        elif size == 1:
            return self.fail(PROTOCOL_ERROR, "close frame of one byte")
        else:
            code = data[0] << 8 | data[1]
            if not may_close_with(code):
                return self.fail(PROTOCOL_ERROR, "close code that must not be sent")
            # Section 5.5.1: the reason is UTF-8.
            reason = decode(<const char*>data + 2, size - 2)
            if reason is None:
                return self.fail(INVALID_DATA, "close reason that is not UTF-8")
        # Section 5.5.1: after a close frame the peer sends nothing more that counts.
        self.state = ENDED
        # A fragment of a message is given up, and its memory with it.
        self.message = None
        return self.sink.on_close(code, reason)

    cdef int fail(self, int code, str reason) except -1:
        """Returns 0, which is also False."""
        self.state = ENDED
        self.message = None
        return self.sink.on_error(code, reason)


cdef inline int header_size(const unsigned char* header) noexcept:
    """Bytes of a header with a key, by its first two."""
    # 2 bytes, an extended length of 0, 2 or 8 bytes, and the key of 4
    cdef int length = header[1] & LENGTH
    if length < LENGTH_16:
        return 6
    return 8 if length == LENGTH_16 else 14


cdef str decode(const char* data, Py_ssize_t size):
    """Decodes UTF-8; returns None if it is invalid."""
    try:
        # Strict, which refuses surrogates and overlong forms
        return PyUnicode_DecodeUTF8(data, size, NULL)
    except UnicodeDecodeError:
        return None


# ---------------------------------------------------------------- writing


cdef int write_header(unsigned char* to, int opcode, bint compressed, unsigned long long size) noexcept:
    cdef int i, end
    # A server sends no fragments: its messages are complete when they are sent. MASK stays 0 (section 5.1).
    to[0] = FIN | (RSV1 if compressed else 0) | opcode
    if size < LENGTH_16:
        to[1] = <unsigned char>size
        return 2
    if size < 0x10000:
        to[1] = LENGTH_16
        end = 4
    else:
        to[1] = LENGTH_64
        end = 10
    # Network byte order, from the last byte to the first
    for i in range(end - 1, 1, -1):
        to[i] = size & 0xFF
        size >>= 8
    return end


cdef bytes close_payload(int code, str reason):
    cdef bytes text
    cdef Py_ssize_t size
    if code == NO_CODE:
        return b""
    # An application's text may have surrogates, which are not in UTF-8.
    text = reason.encode("utf-8", "replace")
    size = PyBytes_GET_SIZE(text)
    if size > MAX_REASON_BYTES:
        size = MAX_REASON_BYTES
        # A byte that continues a character: the cut moves to the start of it.
        while (text[size] & 0xC0) == 0x80:
            size -= 1
        text = text[:size]
    return code.to_bytes(2, "big") + text


cpdef bint may_close_with(int code) noexcept:
    """RFC 6455 section 7.4: those that were registered since are from 1012 to 1014; 1004 has no meaning. 1005, 1006 and
    1015 are never sent: they stand for a missing code, close frame or TLS handshake. From 3000 on they belong to
    libraries and applications.
    """
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
