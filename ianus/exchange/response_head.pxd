"""Response heads: the checked fields of an application, and the fields that the server adds."""
from ianus.codec.base cimport HeadEncoder
from ianus.exchange.base cimport ExchangeHost
from ianus.exchange.service cimport Service


# The facts in a response head about its body and its connection.
cdef struct ResponseFacts:
    long long content_length    # -1 when not declared
    bint close                  # Connection: close
    bint is_event_stream        # Content-Type: text/event-stream


# Checks headers, adds the service's fields, and returns the head as `encoder` made it.
# reason: a reason phrase, None for the registered one. native: names and values are str of Latin-1 (PEP 3333, "Unicode
# Issues"), not bytes. request_id: value of the request id field, or None. trailers: a Trailer field may pass.
# application: whose headers they are.
# Raises TypeError or ValueError, to the application, for fields that cannot be sent; so do the two below.
cdef object build_head(
    Service service, HeadEncoder encoder, int status, bytes reason, object headers, bint native, bytes request_id,
    bint trailers, str application, ResponseFacts* facts,
)
# The head of a 103 with these fields, pairs of bytes (RFC 8297).
cdef object build_hints(HeadEncoder encoder, list pairs)
# Ends the stream with these trailers.
cdef int write_trailers(ExchangeHost session, int stream, object headers) except -1
