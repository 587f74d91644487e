"""Response heads: what an application asked for, checked, and what the server adds."""
from ianus.codec.base cimport Codec
from ianus.exchange.service cimport Service


# What a response head says about its body and its connection.
cdef struct ResponseFacts:
    long long content_length    # -1 when not declared
    bint close                  # Connection: close


# Checks status and headers, adds the service's fields, and returns the head as codec.prepare_head() made it.
# Raises TypeError or ValueError, to the application, for what cannot be sent.
cdef object build_head(Service service, Codec codec, int status, object headers, ResponseFacts* facts)
