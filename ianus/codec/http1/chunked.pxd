"""The chunked transfer coding (RFC 9112 section 7.1), decoded byte by byte without a buffer."""


# The state of the decoder between two bytes.
cdef enum ChunkState:
    CHUNK_SIZE_FIRST    # the first digit of a chunk size
    CHUNK_SIZE          # more digits, or the bytes that may follow them
    EXT_BWS             # white space before ";"
    EXT_NAME_BWS        # white space after ";"
    EXT_NAME            # token
    EXT_EQUALS_BWS      # white space before "="
    EXT_VALUE_BWS       # white space after "="
    EXT_TOKEN           # a value that is a token
    EXT_QUOTED          # inside a quoted-string
    EXT_ESCAPED         # after its backslash
    EXT_QUOTED_END      # after its closing quote
    CHUNK_LF            # LF of the size line
    CHUNK_DATA          # `left` bytes of data follow
    DATA_CR             # CR after the data
    DATA_LF             # LF after the data
    TRAILERS            # the last chunk was read; field lines follow


cdef class ChunkedDecoder:
    cdef ChunkState state
    cdef long long left             # size of the chunk, then the rest of it
    cdef int digits                 # of the chunk size
    cdef Py_ssize_t extensions      # bytes of extensions in the whole body
    cdef const char* reason         # a static text, set with an error
    cdef list trailers              # field lines after the last chunk
    cdef Py_ssize_t trailers_size   # their bytes

    # Reads framing until data or trailers start: returns the bytes consumed, or -1 with `reason` set.
    cdef Py_ssize_t read_framing(self, const char* data, Py_ssize_t size) noexcept
    cdef bint step_extension(self, char c) noexcept
    cdef bint end_extension(self, char c) noexcept
