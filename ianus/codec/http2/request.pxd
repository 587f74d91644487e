"""Requests of HTTP/2 (RFC 9113 section 8.3.1; RFC 8441): from a decoded field section to a Request."""
cimport cython
from ianus.codec.base cimport Request
from ianus.codec.http2.field_section cimport FieldSection


@cython.no_gc
cdef class Http2Request(Request):
    cdef readonly bytes priority    # value of the Priority field (RFC 9218 section 4), None without one


# Makes the request of a section. ended: the head has END_STREAM, so there is not any body. The caller looks at
# section.status: if it is not 0, the request is only for logs, or None if it has no method or path.
# content_length: 0 if there is no body, -1 if its length is not declared.
cdef Http2Request build_request(FieldSection section, bint ended)

# Takes the fields of a section as trailers. The caller looks at section.status, as above.
cdef list take_trailers(FieldSection section)
