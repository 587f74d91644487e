"""The environ dictionaries of WSGI applications."""
cimport cython
from ianus.codec.base cimport Request
from ianus.exchange.connection_info cimport ConnectionInfo
from ianus.exchange.http cimport Exchange


cdef enum:
    PORT_ENTRIES = 1024


cdef class EnvironKey:
    """The key of a field name, with the value of the last request."""
    cdef str key                    # None for a name that is dropped
    cdef tuple last                 # (bytes, str) of a value, replaced as a whole; or None
    cdef int misses                 # values since the last one that was equal to it


@cython.no_gc
cdef class KnownFields:
    """The fields of a request, none of them twice. Does not change."""
    cdef list fields                # (name, value)
    cdef list keys                  # EnvironKey of each
    cdef dict environ               # the template, and the entries of these fields; copied for each request


cdef class Environs:
    cdef dict template              # the entries that all environs share; copied for each
    cdef object server              # the server address in the template, None until the first request
    cdef object client_host         # REMOTE_ADDR in the template
    cdef str prefix                 # part of the received path that PATH_INFO does not have
    cdef dict key_by_field          # EnvironKey by field name
    cdef KnownFields known_fields   # those of an earlier request, replaced as a whole; or None
    cdef int unknown_requests       # consecutive ones with other fields than these
    cdef bint keep_underscores
    # Ports of clients, which keep their connections, and their texts. Changed together, with the GIL.
    cdef int[PORT_ENTRIES] ports
    cdef list port_texts

    cdef int learn_addresses(self, ConnectionInfo connection) except -1
    # body: wsgi.input, None for an empty one; body_size: its bytes. early_hints: wsgi.early_hints, or None.
    cdef dict make(self, Exchange exchange, object body, long long body_size, object early_hints)
    cdef dict copy_known(self, list fields)
    cdef int learn_fields(self, list fields) except -1
    cdef dict add_fields(self, dict environ, list fields)
    cdef EnvironKey find_key(self, bytes name)
    cdef EnvironKey new_key(self, bytes name)
    cdef str path_info(self, Request request, dict environ)
    cdef str port_text(self, int port)
