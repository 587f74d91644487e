"""A field block that arrives in several frames: HEADERS and CONTINUATION (RFC 9113 section 4.3)."""


cdef enum:
    # Without a limit, frames of a block that never ends cost memory and time before any request exists
    # (RUSTSEC-2024-0332, VU#421644).
    MAX_BLOCK_FRAMES = 16


cdef struct HeaderBlock:
    int stream              # 0 = no block is incomplete
    unsigned char flags     # of its HEADERS frame
    bint self_dependent     # its priority is invalid
    int frames
    char* data              # owned by this struct, NULL without a block
    Py_ssize_t size


# Adds the fragment of a frame. Returns False if that exceeds a limit.
cdef bint append_fragment(HeaderBlock* block, const char* data, Py_ssize_t size, Py_ssize_t max_bytes) except -1
cdef void free_block(HeaderBlock* block) noexcept
