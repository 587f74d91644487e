"""One HTTP/1 connection as a codec (RFC 9112): requests in, responses out."""
cimport cython
from ianus.codec.base cimport SerialCodec, SerialCodecFactory
from ianus.codec.http1.chunked cimport ChunkedDecoder
from ianus.codec.field_cache cimport FieldCache
from ianus.codec.http1.request cimport Http1Request
from ianus.codec.http1.response cimport Http1HeadEncoder
from ianus.codec.limits cimport Limits


# The state of reading.
cdef enum ReadState:
    START           # before a request line
    FIELDS          # in the field lines of a head
    BODY_LENGTH     # `body_left` bytes of a body follow
    BODY_CHUNKED    # in a chunked body
    TRAILER_FIELDS  # in the field lines after it
    COMPLETE        # the message ended; next_message() continues
    TUNNEL          # after a 101: the bytes are another protocol's
    ENDED           # after the last message or a protocol error: all input is discarded


@cython.no_gc
cdef class Http1Codec(SerialCodec):
    # Connection
    cdef Limits limits
    cdef FieldCache cache                    # shared by all codecs of the factory
    # Small values together: there is a codec for each idle connection.
    cdef unsigned char state                 # a ReadState
    cdef unsigned char skipped_line          # the one empty line before a request line was used up
    # ... of a response
    cdef unsigned char keep_alive            # another message may follow
    cdef unsigned char minor                 # HTTP/1.minor of the request
    cdef unsigned char chunking              # the body goes out in chunks
    cdef unsigned char until_close           # the close marks the end of the body
    # Line being read: bytes of it that were searched for LF already, so that nothing is searched twice
    cdef Py_ssize_t searched
    # Message
    cdef Http1Request request       # set from its first line to its end
    cdef ChunkedDecoder chunked     # decodes the body, when it is chunked
    cdef long long body_left        # rest of the Content-Length; of a chunked body, rest of the limit

    cdef Py_ssize_t read_request_line(self, const char* data, Py_ssize_t size) except -1
    cdef Py_ssize_t read_field(self, const char* data, Py_ssize_t size) except -1
    cdef Py_ssize_t read_trailer(self, const char* data, Py_ssize_t size) except -1
    cdef Py_ssize_t read_body(self, const char* data, Py_ssize_t size) except -1
    cdef Py_ssize_t read_chunked(self, const char* data, Py_ssize_t size) except -1
    cdef Py_ssize_t find_line(self, const char* data, Py_ssize_t size) noexcept
    cdef int start_body(self) except -1
    cdef int end_message(self) except -1
    cdef int fail(self, int status, str reason) except -1


cdef class Http1Factory(SerialCodecFactory):
    cdef Limits limits
    cdef FieldCache cache
