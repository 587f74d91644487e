"""Collects the fragments of a field block, within limits that hold before anything is decoded.

Compiled because the codec's types are.
"""
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy


cdef bint append_fragment(HeaderBlock* block, const char* data, Py_ssize_t size, Py_ssize_t max_bytes) except -1:
    cdef char* grown
    block.frames += 1
    if block.frames > MAX_BLOCK_FRAMES or block.size + size > max_bytes:
        return False
    if size:
        # Exactly as much as has arrived: a client pays for each byte of memory with one that it has sent.
        grown = <char*>realloc(block.data, block.size + size)
        if grown == NULL:
            raise MemoryError
        block.data = grown
        memcpy(grown + block.size, data, size)
        block.size += size
    return True


cdef void free_block(HeaderBlock* block) noexcept:
    free(block.data)
    block.data = NULL
    block.stream = block.frames = 0
    block.size = 0
