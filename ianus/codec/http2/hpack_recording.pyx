"""HPACK and the requests of HTTP/2 without a connection, for tests and fuzzers."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, malloc

from ianus.codec.fields cimport Field
from ianus.codec.field_cache cimport FieldCache
from ianus.codec.http2.field_kinds cimport PSEUDO_AUTHORITY
from ianus.codec.http2.field_section cimport FieldSection
from ianus.codec.http2.hpack_decoder cimport HpackDecoder, TableEntry
from ianus.codec.http2.hpack_encoder cimport MAX_TABLE_UPDATE_BYTES, HpackEncoder
from ianus.codec.http2.hpack_tables cimport MAX_STATIC_INDEX
from ianus.codec.http2.huffman cimport decode_huffman
from ianus.codec.http2.request cimport Http2Request, build_request, take_trailers
from ianus.codec.http2.response cimport (
    MAX_LENGTH_FIELD_BYTES, Http2Head, Http2HeadEncoder, encode_length, encode_literals,
)
from ianus.codec.limits cimport Limits


cdef class HpackRecorder:
    """The decoder of one connection. Recorders with one cache are connections of one listener."""
    cdef HpackDecoder decoder
    cdef FieldSection section

    def __init__(self, Limits limits not None, FieldCache cache=None):
        self.decoder = HpackDecoder()
        self.decoder.cache = cache
        self.section = FieldSection(limits)

    def decode(self, bytes block not None):
        """Returns (pseudo-header fields, fields, status, malformed), or None for a COMPRESSION_ERROR."""
        cdef FieldSection section = self.section
        section.start(PyBytes_GET_SIZE(block))
        if not self.decoder.decode(PyBytes_AS_STRING(block), PyBytes_GET_SIZE(block), section):
            return None
        pseudo = {
            b":method": section.method, b":scheme": section.scheme, b":authority": section.authority,
            b":path": section.path, b":protocol": section.protocol,
        }
        return (
            {name: value for name, value in pseudo.items() if value is not None}, section.fields, section.status,
            section.malformed,
        )

    def decode_many(self, list blocks not None):
        """Decodes blocks in a loop, for measurements."""
        cdef FieldSection section = self.section
        cdef bytes block
        for block in blocks:
            section.start(PyBytes_GET_SIZE(block))
            self.decoder.decode(PyBytes_AS_STRING(block), PyBytes_GET_SIZE(block), section)

    def request_many(self, list blocks not None):
        """The same, with requests."""
        cdef FieldSection section = self.section
        cdef bytes block
        for block in blocks:
            section.start(PyBytes_GET_SIZE(block))
            self.decoder.decode(PyBytes_AS_STRING(block), PyBytes_GET_SIZE(block), section)
            build_request(section, True)

    def request(self, bytes block not None, *, bint ended=True):
        """Returns the request of a block as a dict, with its verdict, or None for a COMPRESSION_ERROR."""
        cdef Http2Request request
        if self.decode(block) is None:
            return None
        request = build_request(self.section, ended)
        verdict = {"status": self.section.status, "malformed": self.section.malformed, "reason": self.verdict()}
        if request is None:
            return verdict
        return verdict | {
            "method": request.method, "target": request.target, "path": request.path, "raw_path": request.raw_path,
            "query_string": request.query_string, "headers": request.headers, "http_version": request.http_version,
            "protocol": request.protocol, "priority": request.priority, "upgrade": request.upgrade,
            "content_length": request.content_length, "expect_continue": request.expect_continue,
            "forwarding": [request.forwarding.positions[i] for i in range(min(request.forwarding.count, 14))],
        }

    def trailers(self, bytes block not None):
        """Returns (fields, status) of a block that is trailers, or None for a COMPRESSION_ERROR."""
        if self.decode(block) is None:
            return None
        fields = take_trailers(self.section)
        return fields, self.section.status

    cdef str verdict(self):
        return self.section.reason.decode("ascii") if self.section.status else ""

    @property
    def reason(self) -> str:
        """Of the last COMPRESSION_ERROR."""
        return self.decoder.reason.decode("ascii")

    @property
    def table_bytes(self) -> int:
        return self.decoder.table_bytes

    def table(self) -> list:
        """The dynamic table, the newest entry first."""
        cdef const TableEntry* entry
        cdef unsigned int i
        entries = []
        for i in range(self.decoder.count):
            entry = self.decoder.find_entry(MAX_STATIC_INDEX + 1 + i)
            name, value = <tuple>entry.field
            entries.append((b":authority" if entry.kind == PSEUDO_AUTHORITY else name, value))
        return entries


cdef class HpackWriter:
    """Both steps of the encoder, for one connection."""
    cdef HpackEncoder encoder
    cdef Http2HeadEncoder heads

    def __init__(self):
        self.encoder = HpackEncoder()
        self.heads = Http2HeadEncoder()

    def head(self, int status, list fields not None) -> object:
        """Returns an encoded head, or with status 0 trailers, for send()."""
        cdef Field* array = <Field*>malloc((len(fields) + 1) * sizeof(Field))
        cdef Py_ssize_t i
        if array == NULL:
            raise MemoryError
        try:
            for i in range(len(fields)):
                name, value = fields[i]
                array[i] = Field(
                    PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)
                )
            if status == 0:
                return encode_literals(array, len(fields))
            return self.heads.encode(status, None, array, len(fields))
        finally:
            free(array)

    def send(self, object head) -> bytes:
        """Returns the block of a head."""
        cdef bytes literals = head if isinstance(head, bytes) else (<Http2Head?>head).literals
        cdef bytes block = PyBytes_FromStringAndSize(NULL, PyBytes_GET_SIZE(literals) + MAX_TABLE_UPDATE_BYTES)
        cdef Py_ssize_t size = self.encoder.compress(literals, PyBytes_AS_STRING(block))
        return block[:size]

    def send_many(self, Http2Head head not None, int times) -> None:
        """Sends a head many times, for measurements."""
        cdef char block[4096]
        assert len(head.literals) + MAX_TABLE_UPDATE_BYTES <= <Py_ssize_t>sizeof(block)
        while times:
            times -= 1
            self.encoder.compress(head.literals, block)

    def set_max_table_size(self, size_t size) -> None:
        self.encoder.set_max_table_size(size)

    def table_bytes(self) -> int:
        return self.encoder.table_bytes


def literals(Http2Head head not None) -> bytes:
    return head.literals


def priority(Http2Head head not None):
    return head.priority


def length_field(long long length) -> bytes:
    cdef char field[MAX_LENGTH_FIELD_BYTES]
    cdef char* end = encode_length(field, length)
    return PyBytes_FromStringAndSize(field, end - field)


def huffman(bytes code not None):
    """Returns the decoded text, or None."""
    cdef bytes text = PyBytes_FromStringAndSize(NULL, len(code) * 8 // 5 + 1)
    cdef const unsigned char* start = <const unsigned char*>PyBytes_AS_STRING(code)
    cdef Py_ssize_t size = decode_huffman(start, len(code), PyBytes_AS_STRING(text))
    return None if size < 0 else text[:size]
