"""UTF-8 that comes in pieces (RFC 3629 section 4): text is refused at its first wrong byte, wherever it was cut."""


cdef struct Utf8:               # all zero at the beginning
    unsigned char left          # bytes that the character begun still needs
    unsigned char low, high     # what the next of them may be


# Whether text goes on being valid with these bytes; a character may be incomplete behind them.
cdef bint more_utf8(Utf8* text, const unsigned char* data, Py_ssize_t size) noexcept nogil
