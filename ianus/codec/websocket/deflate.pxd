"""Compression of messages (RFC 7692, permessage-deflate), by zlib, and by isal if that is installed."""


cdef enum:
    # Bytes of a message below which compressing costs more than it saves: it is sent uncompressed (RFC 7692 section 6).
    MIN_COMPRESSED_BYTES = 256
    # Streams that a message may consist of. Clients send one; each further one costs a decompressor for two bytes.
    MAX_STREAMS = 64


# The parameters negotiated for one connection. The state of zlib is made with the first message that needs it.
cdef class Deflate:
    cdef readonly int server_bits           # base-2 logarithm of the window for sent messages, 9 to 15
    cdef readonly int client_bits           # likewise for received messages, 8 to 15
    cdef readonly bint server_takeover      # the window is kept from message to message
    cdef readonly bint client_takeover
    cdef readonly int ws_deflate_level      # of effort, 1 to 9
    cdef bint has_fast_library              # isal compresses long messages
    # zlib's; None before the first message, between them without takeover, and after one that isal has compressed
    cdef object compressor
    cdef bytes window                       # the end of that message, for the next compressor; else None
    cdef object decompressor
    cdef int streams                        # that the current message has started

    # Compresses a message of at least one byte.
    cdef bytes compress(self, bytes data)
    # Returns the next bytes of a message, at most `max_bytes`, which is at least 1: if as many are returned, more may
    # follow. last: `data` ends the message. Returns None for data that is not DEFLATE.
    cdef bytes inflate(self, bytes data, Py_ssize_t max_bytes, bint last)

    cdef object new_compressor(self)
    cdef object new_decompressor(self)
