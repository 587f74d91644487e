"""The chunked transfer coding (RFC 9112 section 7.1), decoded byte by byte without a buffer."""


# Where the decoder stands between two bytes.
cdef enum ChunkState:
    CHUNK_SIZE_FIRST    # the first digit of a chunk size
    CHUNK_SIZE          # more digits, or what may follow them
    EXT_BWS             # white space before ";"
    EXT_NAME_BWS        # white space behind ";"
    EXT_NAME            # token
    EXT_EQUALS_BWS      # white space before "="
    EXT_VALUE_BWS       # white space behind "="
    EXT_TOKEN           # a value that is a token
    EXT_QUOTED          # inside a quoted-string
    EXT_ESCAPED         # behind its backslash
    EXT_QUOTED_END      # behind its closing quote
    CHUNK_LF            # LF of the size line
    CHUNK_DATA          # `left` bytes of data to come
    DATA_CR             # CR behind the data
    DATA_LF             # LF behind the data
    TRAILERS            # the last chunk was read; field lines follow


cdef class ChunkedDecoder:
    cdef ChunkState state
    cdef long long left             # size of the chunk, then what is left of it
    cdef int digits                 # of the chunk size
    cdef Py_ssize_t extensions      # bytes of extensions in the whole body
    cdef const char* reason         # a static text, set with an error
    cdef list trailers              # field lines behind the last chunk
    cdef Py_ssize_t trailers_size   # their bytes

    # Reads framing until data or trailers begin: returns the bytes consumed, or -1 with `reason` set.
    cdef Py_ssize_t read_framing(self, const char* data, Py_ssize_t size) noexcept
    cdef bint step_extension(self, char c) noexcept
    cdef bint end_extension(self, char c) noexcept
