"""The scope dictionaries of ASGI HTTP requests."""
from ianus.exchange.http cimport Exchange


cdef class Scopes:
    cdef dict template              # the entries that all scopes share; copied for each request
    cdef str stripped_prefix        # prefix that a proxy has removed from the path, or ""
    cdef str inner_path             # the rest of root_path
    cdef object last_server         # the "server" in the template
    cdef dict asgi                  # the "asgi" entry; copied for each request
    cdef dict extensions, extensions_1_0    # the "extensions" entry for HTTP/1.1 and 1.0; copied for each request
    cdef dict state                 # the lifespan state, or None

    # Returns a new scope that the application may change.
    cdef dict make(self, Exchange exchange)


cdef str QUEUE_TIME     # the name of the extension
