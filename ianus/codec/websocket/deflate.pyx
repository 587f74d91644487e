"""DEFLATE as RFC 7692 section 7.2 has it, by the zlib of the standard library.

Facts: a compressor takes 4 * 2^bits + 2^(memory + 9) bytes for as long as it lives, and so does the connection that it
belongs to. zlib has no raw stream of a window of 2^8. Strategy: small windows for sent messages, and no state before it
is needed.

Of the level 1, the isal package takes a fifth of zlib's time for a message of 16 KiB or 1 MB, and makes it smaller. But
its compressor takes 210 KiB. So, if the package is installed, it compresses long messages, each with a compressor of
its own. It has no part in inflating: the bytes of peers are read by zlib alone.
"""
import zlib

from cpython.bytes cimport PyBytes_GET_SIZE

try:
    from isal import isal_zlib
except ImportError:
    isal_zlib = None


cdef enum:
    ZLIB_MEMORY_LEVEL = 5  # zlib's memLevel: 16 KiB of hash table and pending output; its default of 8 takes 128 KiB
    FASTEST_LEVEL = 1
    # Bytes of a message that isal compresses: as long as the window, so nothing before the message is in it at its end
    MIN_LONG_BYTES = 4096
    # Bytes inflated in one call: zlib copies all input after the end of a stream, and there may be many streams.
    INFLATE_STEP_BYTES = 4096

# The empty block that ends each message and is not sent (RFC 7692 section 7.2.1).
cdef bytes TAIL = b"\x00\x00\xff\xff"


cdef class Deflate:
    def __init__(
        self, *, int server_bits, int client_bits, bint server_takeover, bint client_takeover, int ws_deflate_level
    ):
        # As negotiated: the peer reserves its memory by these (RFC 7692 section 7.1.2).
        self.server_bits = server_bits
        self.client_bits = client_bits
        self.server_takeover = server_takeover
        self.client_takeover = client_takeover
        self.ws_deflate_level = ws_deflate_level
        self.has_fast_library = isal_zlib is not None and ws_deflate_level == FASTEST_LEVEL

    cdef bytes compress(self, bytes data):
        cdef object compressor = self.compressor
        cdef bytes first, rest
        if self.has_fast_library and PyBytes_GET_SIZE(data) >= MIN_LONG_BYTES:
            compressor = isal_zlib.compressobj(FASTEST_LEVEL, zlib.DEFLATED, -self.server_bits)
            # This message is in the window of the next one, and all of those before it are not.
            if self.server_takeover:
                self.compressor = None
                self.window = data[-(1 << self.server_bits):]
        # Made at the first message: an idle connection costs no memory of zlib.
        elif compressor is None:
            compressor = self.new_compressor()
        first = compressor.compress(data)
        # The flush ends in the empty block, which is removed (section 7.2.1).
        rest = compressor.flush(zlib.Z_SYNC_FLUSH)
        rest = rest[:PyBytes_GET_SIZE(rest) - PyBytes_GET_SIZE(TAIL)]
        return first + rest if first else rest

    cdef bytes inflate(self, bytes data, Py_ssize_t max_bytes, bint last):
        cdef list pieces = []
        cdef bytes part, piece
        cdef Py_ssize_t done = 0
        if last:
            # Section 7.2.2: the recipient appends the block that the sender has removed.
            data += TAIL
        try:
            while done < PyBytes_GET_SIZE(data) and max_bytes:
                # RFC 7692 section 7.2.1: a block may be the final one of its stream, and another one follow.
                if self.decompressor is None or self.decompressor.eof:
                    self.streams += 1
                    # Each stream costs a new decompressor, so their number in a message is limited.
                    if self.streams > MAX_STREAMS:
                        return None
                    self.decompressor = self.new_decompressor()
                part = data[done:done + INFLATE_STEP_BYTES]
                # Bounded: a small input may inflate to any size.
                piece = self.decompressor.decompress(part, max_bytes)
                pieces.append(piece)
                max_bytes -= PyBytes_GET_SIZE(piece)
                # After the end of a stream zlib returns the bytes that belong to the next one.
                done += PyBytes_GET_SIZE(part) - PyBytes_GET_SIZE(self.decompressor.unused_data)
        except zlib.error:
            return None
        if last:
            # The limit is for one message.
            self.streams = 0
            if not self.client_takeover:
                # Its memory is freed between messages.
                self.decompressor = None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    cdef object new_compressor(self):
        cdef object compressor
        if self.window is None:
            compressor = zlib.compressobj(self.ws_deflate_level, zlib.DEFLATED, -self.server_bits, ZLIB_MEMORY_LEVEL)
        else:
            compressor = zlib.compressobj(
                self.ws_deflate_level, zlib.DEFLATED, -self.server_bits, ZLIB_MEMORY_LEVEL, zdict=self.window
            )
            self.window = None
        # RFC 7692 section 7.1.1: without context takeover each message has a new window.
        if self.server_takeover:
            self.compressor = compressor
        return compressor

    cdef object new_decompressor(self):
        # Clients with zlib that are asked for a window of 2^8 use 2^9, as zlib did for a long time.
        return zlib.decompressobj(-max(self.client_bits, 9))
