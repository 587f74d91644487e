"""Numbers and the extents of strings in HPACK (RFC 7541 sections 5.1 and 5.2)."""


cdef inline Py_ssize_t read_number(const unsigned char** at, const unsigned char* end, unsigned char mask) noexcept:
    """A number after a prefix (section 5.1), or -1 if it is incomplete or has more than five bytes."""
    cdef Py_ssize_t number = at[0][0] & mask
    cdef int shift
    cdef unsigned char byte
    at[0] += 1
    if number < mask:
        return number
    for shift in range(0, 28, 7):
        if at[0] == end:
            return -1
        byte = at[0][0]
        at[0] += 1
        number += <Py_ssize_t>(byte & 0x7F) << shift
        if byte < 0x80:
            return number
    return -1


cdef inline const unsigned char* read_string(
    const unsigned char* at, const unsigned char* end, const char** text, Py_ssize_t* size, bint* coded
) noexcept:
    """The extent of a string (section 5.2). Returns the position after it, or NULL if it is incomplete."""
    if at == end:
        return NULL
    coded[0] = at[0] & 0x80 != 0
    size[0] = read_number(&at, end, 0x7F)
    if size[0] < 0 or size[0] > end - at:
        return NULL
    text[0] = <const char*>at
    return at + size[0]


cdef inline char* write_number(char* at, Py_ssize_t number, unsigned char pattern, unsigned char mask) noexcept:
    """Writes a number after a prefix, whose other bits are the pattern. Returns the position after it."""
    if number < mask:
        at[0] = <char>(pattern | number)
        return at + 1
    at[0] = <char>(pattern | mask)
    number -= mask
    at += 1
    while number >= 0x80:
        at[0] = <char>(0x80 | number & 0x7F)
        number >>= 7
        at += 1
    at[0] = <char>number
    return at + 1
