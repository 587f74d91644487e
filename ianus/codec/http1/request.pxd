"""A request while its head is being read: the state that the codec keeps from one line to the next."""
cimport cython
from ianus.codec.base cimport Request
from ianus.codec.header_rules cimport FieldFacts


# Facts about framing and connection, from the fields parsed so far.
cdef struct HeadFacts:
    FieldFacts common               # those that requests of all versions have
    int transfer_fields             # Transfer-Encoding fields
    int codings                     # transfer codings in all of them
    int chunked                     # of these, how many are chunked
    bint last_is_chunked
    bint close                      # Connection: close
    bint keep_alive                 # Connection: keep-alive
    bint upgrade                    # Connection: upgrade


@cython.no_gc
cdef class Http1Request(Request):
    cdef int minor                  # HTTP/1.minor: 0 or 1
    cdef bytes authority            # of an absolute-form target, else None
    cdef Py_ssize_t fields_size     # bytes of the field lines so far
    cdef HeadFacts facts
