"""The encoded heads of the last responses. Nearly all responses of an application repeat an earlier head."""
from ianus.codec.base cimport HeadEncoder


cdef enum:
    HEAD_SLOTS = 32     # heads that are kept, a power of 2


cdef class CachedHead:
    """A head, and everything that it was made of. Immutable, so that threads may share it."""
    cdef size_t fingerprint         # of status and fields
    cdef HeadEncoder encoder
    cdef int status
    cdef bytes reason               # None for the registered one
    cdef bint native, trailers
    cdef tuple fields               # (name, value) tuples of str if native, else of bytes
    cdef bytes date                 # the value of the Date that the server has added, or None
    cdef object head                # as the encoder has made it
    # The facts of exchange/response_head
    cdef long long content_length
    cdef bint close, is_event_stream


cdef class HeadCache:
    cdef list slots                 # a CachedHead or None, by fingerprint
    cdef size_t[HEAD_SLOTS] missed  # the last fingerprint of each slot that was not found

    # The head with these facts and this Date, or None.
    cdef CachedHead find(
        self, size_t fingerprint, HeadEncoder encoder, int status, bytes reason, object headers, bint native,
        bint trailers, bytes date
    )
    # Whether a head that was not found should be put: it is the second one with this fingerprint in its slot.
    cdef bint should_put(self, size_t fingerprint) noexcept
    cdef int put_head(self, CachedHead head) except -1


# A number for the status and the sizes and last bytes of the fields; 0 if their head cannot be cached.
cdef size_t fingerprint_of(int status, object headers, bint native) noexcept
