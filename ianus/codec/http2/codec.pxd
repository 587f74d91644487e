"""One HTTP/2 connection as a codec (RFC 9113): requests of many streams in, responses out."""
cimport cython

from ianus.codec.base cimport ErrorCode, MultiplexedCodecFactory, Request
from ianus.codec.field_cache cimport FieldCache
from ianus.codec.http2.field_section cimport FieldSection
from ianus.codec.http2.header_block cimport HeaderBlock
from ianus.codec.http2.hpack_decoder cimport HpackDecoder
from ianus.codec.http2.request cimport Http2Request
from ianus.codec.http2.body_reader cimport Http2BodyReader
from ianus.codec.http2.stream cimport Http2Stream
from ianus.codec.limits cimport Limits


@cython.no_gc
cdef class Http2Codec(Http2BodyReader):
    cdef Http2Factory factory       # has the objects that all connections share
    cdef Py_ssize_t preface_left
    cdef HpackDecoder hpack_decoder     # None before the first block
    cdef HeaderBlock block

    # Frames. They return 0, or raise for errors of the server alone.
    cdef Py_ssize_t read_preface(self, const char* data, Py_ssize_t size) except -1
    cdef Py_ssize_t read_frame(self, const char* data, Py_ssize_t size) except -1
    cdef bint check_header(self) except -1
    cdef int dispatch(self, const char* payload) except -1
    cdef int read_headers(self, const char* payload) except -1
    cdef int read_continuation(self, const char* payload) except -1
    cdef int end_block(self, const char* block, Py_ssize_t size) except -1
    cdef int start_request(self, FieldSection section, int stream, bint ended) except -1
    cdef int apply_priority(self, Http2Stream entry, bytes value) except -1
    cdef int report_request(self, FieldSection section, Http2Stream entry, Http2Request request) except -1
    cdef int read_trailers(self, FieldSection section, Http2Stream entry, bint ended) except -1


cdef class Http2Factory(MultiplexedCodecFactory):
    cdef Limits limits
    cdef FieldCache cache           # of fields that many connections send
    cdef FieldSection section       # the one that is being decoded
    cdef bytes opening              # the first frames of the server
    cdef int max_concurrent_streams
    cdef int stream_window
    cdef int connection_window
    cdef bint extended_connect
    cdef Py_ssize_t max_block_bytes
