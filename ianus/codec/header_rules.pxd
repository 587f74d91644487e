"""The rules of RFC 9110 for the fields and trailers of a message, which all versions of HTTP share."""
from ianus.codec.fields cimport FieldId, ForwardingFields


# Facts about the fields of a request that were read so far.
cdef struct FieldFacts:
    int hosts                       # Host fields
    int types                       # Content-Type fields
    int lengths                     # Content-Length fields
    long long content_length        # of the last one
    bint websocket_key              # Sec-WebSocket-Key
    bint expect_continue            # Expect: 100-continue
    bint expect_other               # an expectation that is not supported
    ForwardingFields forwarding


# Records one field of a request. Returns 0, or the status of the error response with a static text in reason.
cdef int note_common_field(
    FieldId field_id, const char* value, Py_ssize_t size, FieldFacts* facts, const char** reason
) noexcept
# Records a forwarding field at a position in the list of all fields.
cdef int note_forwarding(ForwardingFields* forwarding, Py_ssize_t position) noexcept
# Checks the fields of a complete head. Returns 0 or a status, as above.
cdef int check_common_fields(const FieldFacts* facts, const char** reason) noexcept
cdef bint is_forbidden_request_trailer(FieldId field_id) noexcept
cdef bint may_be_response_trailer(bytes name) except -1     # name: in lower case
