"""A validator of UTF-8 that keeps its state between pieces.

Compiled because the bytes of text messages in pieces pass here, ASCII eight at a time: 1,184 instructions for
64 bytes that are not ASCII.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memcpy


cdef bint more_utf8(Utf8* text, const unsigned char* data, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i = 0
    cdef uint64_t word
    while i < size:
        if text.left == 0:
            while i + 8 <= size:
                memcpy(&word, data + i, 8)
                if word & <uint64_t>0x8080808080808080:
                    break
                i += 8
            if i == size:
                break
            if data[i] >= 0x80 and not start_character(text, data[i]):
                return False
        else:
            if not text.low <= data[i] <= text.high:
                return False
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
        if first == 0xE0:
            text.low = 0xA0
        elif first == 0xED:
            text.high = 0x9F
    elif 0xF0 <= first <= 0xF4:
        text.left = 3
        if first == 0xF0:
            text.low = 0x90
        elif first == 0xF4:
            text.high = 0x8F
    else:
        return False
    return True
