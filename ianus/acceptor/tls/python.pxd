"""The engine that drives Python's own ssl module."""
cimport cython

from ianus.acceptor.tls.base cimport TlsFilter, TlsFilterFactory


@cython.final
cdef class PythonFilterFactory(TlsFilterFactory):
    cdef object contexts            # PythonContexts (acceptor/tls/python_contexts)
    cdef bytearray gathered         # small pieces of output of one call


@cython.final
@cython.no_gc
cdef class PythonFilter(TlsFilter):
    cdef object ssl_object          # an ssl.SSLObject; None before the client's first message
    # Its ssl.MemoryBIOs: received bytes, and encoded ones
    cdef object incoming, outgoing
    cdef object handshake           # the Handshake until its end, then None
    cdef str certificate            # the chosen one as PEM; None for a context of the user

    cdef int open(self) except -1
    cdef bint has_hello(self, const char* data, Py_ssize_t size) except -1
    cdef int continue_handshake(self) except -2
    cdef int take_encoded(self) except -1
