"""Decoding of the Huffman code, four bits a step: each step completes at most one symbol, since no code is shorter.

The automaton has a state for failure that no step leads out of, so the loop has no branch for it. Strings are sent
without this code: codec/http2/hpack_encoder has the reason.

Compiled because it decodes each byte of each new value.
"""
from ianus.codec.http2.hpack_tables cimport HUFFMAN_MAY_END, HUFFMAN_STEPS, HuffmanStep


cdef Py_ssize_t decode_huffman(const unsigned char* code, Py_ssize_t size, char* text) noexcept nogil:
    cdef const HuffmanStep* step
    cdef unsigned int state = 0
    cdef Py_ssize_t i, decoded = 0
    for i in range(size):
        step = &HUFFMAN_STEPS[state][code[i] >> 4]
        # Written each time, and overwritten unless the symbol was complete. This takes the byte more.
        text[decoded] = <char>step.symbol
        decoded += step.emits
        step = &HUFFMAN_STEPS[step.next][code[i] & 15]
        text[decoded] = <char>step.symbol
        decoded += step.emits
        state = step.next
    return decoded if HUFFMAN_MAY_END[state] else -1
