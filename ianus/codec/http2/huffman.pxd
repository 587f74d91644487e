"""The Huffman code of HPACK (RFC 7541 section 5.2), which QPACK uses as well."""


cdef enum:
    MIN_CODE_BITS = 5   # no code is shorter: the decoded text has at most 8 / 5 of the bytes of the coded one


# Decodes into text, which has space for 8 / 5 of `size` and one byte more. Returns the number of bytes, or -1 if the
# code is not valid: it has the symbol for the end of the string, or padding that is too long or is not all ones.
cdef Py_ssize_t decode_huffman(const unsigned char* code, Py_ssize_t size, char* text) noexcept nogil
