"""The scope dictionaries of ASGI HTTP requests."""
cimport cython
from ianus.exchange.http cimport Exchange
from ianus.exchange.tls_facts cimport TlsFacts


@cython.no_gc
cdef class ScopeParts:
    cdef dict template              # the entries that a scope shares with the earlier ones that had these parts
    cdef object last_server         # the "server" in it
    # The dictionaries in it, and in a scope that is a copy of it
    cdef dict asgi, extensions
    cdef dict state                 # None if the application has no lifespan
    # Of the connection that had these parts last, which are in `extensions`. All three are None without TLS.
    cdef TlsFacts tls_facts
    cdef dict extensions_original   # `extensions` before the application got it
    cdef dict tls_original          # ... and the extension of TLS
    cdef ScopeParts next            # in the list of free ones


cdef class Scopes:
    cdef dict template              # the entries that all scopes share
    cdef str stripped_prefix        # prefix that a proxy has removed from the path, or ""
    cdef str inner_path             # the rest of root_path
    cdef dict asgi                  # the "asgi" entry
    cdef dict extensions, extensions_1_0    # the "extensions" entry for HTTP/1.1 and 1.0
    cdef dict state                 # the lifespan state, or None
    cdef ScopeParts free            # the first of those that no request uses
    cdef Py_ssize_t free_count

    cdef ScopeParts acquire(self)
    cdef int release(self, ScopeParts parts) except -1      # after the end of the request
    cdef bint has_original_extensions(self, ScopeParts parts) except -1
    cdef int set_tls_facts(self, ScopeParts parts, TlsFacts facts) except -1
    # Returns a new scope that the application may change, with parts of its own.
    cdef dict make(self, Exchange exchange, ScopeParts parts)


# Names of extensions
cdef str QUEUE_TIME, TLS
