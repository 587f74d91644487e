"""A validator of UTF-8 that keeps its state between pieces.

Compiled because the bytes of text messages in pieces pass here, ASCII eight at a time: 1,184 instructions for
64 bytes that are not ASCII.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memcpy


cdef bint more_utf8(Utf8* text, const unsigned char* data, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i = 0
    cdef uint64_t word
    cdef uint64_t words[4]
    while i < size:
        # Between two characters: ASCII is skipped a word at a time.
        if text.left == 0:
            # Four words first, which compilers join in vectors.
            while i + 32 <= size:
                memcpy(words, data + i, 32)
                if (words[0] | words[1] | words[2] | words[3]) & <uint64_t>0x8080808080808080:
                    break
                i += 32
            while i + 8 <= size:
                memcpy(&word, data + i, 8)
                # RFC 3629 section 3: bytes of a longer character have the highest bit, bytes of ASCII do not.
                if word & <uint64_t>0x8080808080808080:
                    break
                i += 8
            if i == size:
                break
            # Also reached by the last bytes of ASCII, which do not fill a word.
            if data[i] >= 0x80 and not start_character(text, data[i]):
                return False
        else:
            # The bounds are narrower only for the second byte. So overlong forms and surrogates are found there.
            if not text.low <= data[i] <= text.high:
                return False
            # `left`, `low` and `high` are the state between two pieces: a character may be cut anywhere.
            text.left -= 1
            text.low, text.high = 0x80, 0xBF
        i += 1
    return True


cdef inline bint start_character(Utf8* text, unsigned char first) noexcept nogil:
    """The table of RFC 3629 section 4: no overlong forms, no surrogates, nothing above U+10FFFF."""
    text.low, text.high = 0x80, 0xBF
    if 0xC2 <= first <= 0xDF:
        text.left = 1
    elif 0xE0 <= first <= 0xEF:
        text.left = 2
        # With a lower second byte: an overlong form of U+0000 to U+07FF
        if first == 0xE0:
            text.low = 0xA0
        # With a higher second byte: a surrogate (U+D800 to U+DFFF)
        elif first == 0xED:
            text.high = 0x9F
    elif 0xF0 <= first <= 0xF4:
        text.left = 3
        # With a lower second byte: an overlong form of U+0000 to U+FFFF
        if first == 0xF0:
            text.low = 0x90
        # With a higher second byte: a code point beyond U+10FFFF
        elif first == 0xF4:
            text.high = 0x8F
    else:
        # A byte that only continues a character, or 0xC0, 0xC1, 0xF5 and higher, which are never valid.
        return False
    return True
