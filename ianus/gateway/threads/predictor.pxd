"""Which requests are likely to block, by method and path."""
from ianus.codec.base cimport Request


cdef enum:
    ENTRIES = 1024


cdef struct Evidence:
    unsigned int tag        # which requests it is about; 0 = none
    signed char score       # 0 to CERTAIN; from LIKELY on a request is expected to block
    bint suspect            # the last call took long: the next one is measured exactly


cdef class Predictor:
    cdef Evidence[ENTRIES] table

    # What is known about requests like this one; owned by the predictor, never NULL.
    cdef Evidence* about(self, Request request) noexcept


cdef enum:
    LIKELY = 2
    CERTAIN = 4

cdef inline bint likely_blocks(const Evidence* evidence) noexcept:
    return evidence.score >= LIKELY

# Whether the next call should be measured with the thread's own clock, which costs half a microsecond.
cdef inline bint worth_measuring(const Evidence* evidence) noexcept:
    return evidence.suspect or evidence.score > 0

# A call has taken so long (seconds). blocked: of these, how long it did not compute; -1 when that was not measured.
cdef void learn(Evidence* evidence, double duration, double blocked) noexcept
