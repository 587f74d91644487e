"""Facts about the streams that were opened last, also about those that are not in the table any more.

The client may still send frames on a stream that the server has reset, and opens others meanwhile. The numbers go
farther back than the default limit of concurrent streams, so the facts outlast a whole set of them.
"""
from libc.stdint cimport uint64_t


cdef enum:
    RECENT_WORDS = 4
    RECENT_STREAMS = 256        # odd numbers up to the last one: 64 bits a word


# A set of the last numbers: a ring of bits, whose index is half of the number.
cdef struct RecentStreams:
    uint64_t bits[RECENT_WORDS]


cdef inline void add_recent(RecentStreams* streams, int last, int stream) noexcept:
    """Nothing happens for a number that is too old. last: the highest number that was used."""
    cdef unsigned int index = (<unsigned int>stream >> 1) % RECENT_STREAMS
    if (last - stream) >> 1 < RECENT_STREAMS:
        streams.bits[index >> 6] |= <uint64_t>1 << (index & 63)


cdef inline bint is_recent(const RecentStreams* streams, int last, int stream) noexcept:
    """Whether an odd number up to `last` is in the set. False for those that are too old."""
    cdef unsigned int index = (<unsigned int>stream >> 1) % RECENT_STREAMS
    return (last - stream) >> 1 < RECENT_STREAMS and streams.bits[index >> 6] >> (index & 63) & 1


cdef inline void advance_recent(RecentStreams* streams, int last, int stream) noexcept:
    """`stream` becomes the highest number: it and those that are passed over are not in the set."""
    cdef unsigned int index
    # Further turns would only clear the same bits again.
    last = max(last, stream - 2 * RECENT_STREAMS)
    while last < stream:
        last += 2
        index = (<unsigned int>last >> 1) % RECENT_STREAMS
        streams.bits[index >> 6] &= ~(<uint64_t>1 << (index & 63))
