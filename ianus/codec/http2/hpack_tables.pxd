"""The tables that tools/hpack_tables.py has generated: the Huffman automaton and the static table of RFC 7541."""

cdef extern from "ianus/codec/http2/hpack_tables.h" nogil:
    ctypedef struct HuffmanStep "ianus_huffman_step":
        unsigned short next             # state; 0 is the first one
        unsigned char emits             # 1 if `symbol` is complete
        unsigned char symbol
    const HuffmanStep HUFFMAN_STEPS "IANUS_HUFFMAN_STEPS"[][16]     # by the state and four bits
    const unsigned char HUFFMAN_MAY_END "IANUS_HUFFMAN_MAY_END"[]   # by the state: whether a string may end in it
    const char* const STATIC_FIELDS "IANUS_STATIC_FIELDS"[][2]      # name and value of index 1 and so on

cdef enum:
    MAX_STATIC_INDEX = 61
