"""UTF-8 in pieces (RFC 3629 section 4): text is refused at its first wrong byte, independent of the cuts."""


cdef struct Utf8:               # all zero at the start
    unsigned char left          # bytes missing in the current character
    unsigned char low, high     # range of the next of them


# Returns whether the text is still valid with these bytes; a character may be incomplete at their end.
cdef bint more_utf8(Utf8* text, const unsigned char* data, Py_ssize_t size) noexcept nogil
