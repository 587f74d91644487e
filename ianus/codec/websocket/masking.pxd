"""Masking of payloads (RFC 6455 section 5.3).

Facts: each byte is XORed with one of four, and a client's every byte passes here. Strategy: eight bytes a step, through
memcpy, which compilers turn into plain loads and stores; at -O3 they use wider ones, if the machine has
them.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memcpy


cdef inline bint unmask(
    unsigned char* to, const unsigned char* data, Py_ssize_t size, const unsigned char* key
) noexcept nogil:
    """Writes `size` bytes; the first is masked with key[0]. Whether all of them are ASCII."""
    cdef uint64_t keys, word, seen = 0
    cdef unsigned char last = 0
    cdef Py_ssize_t i = 0
    memcpy(&keys, key, 4)
    memcpy(<unsigned char*>&keys + 4, key, 4)
    while i + 8 <= size:
        memcpy(&word, data + i, 8)
        word ^= keys
        memcpy(to + i, &word, 8)
        seen |= word
        i += 8
    while i < size:
        to[i] = data[i] ^ key[i & 3]
        last |= to[i]
        i += 1
    return ((seen & <uint64_t>0x8080808080808080) | (last & 0x80)) == 0


cdef inline void rotate_key(unsigned char* key, Py_ssize_t size) noexcept nogil:
    """Rotates the key by `size` bytes: key[0] is for the byte after them."""
    cdef unsigned char old[4]
    cdef int i
    memcpy(old, key, 4)
    for i in range(4):
        key[i] = old[(i + size) & 3]
