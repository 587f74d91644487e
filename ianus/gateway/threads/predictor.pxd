"""A table of the requests whose calls are likely to block, by method and path."""
from ianus.codec.base cimport Request


cdef enum:
    TABLE_ENTRIES = 1024


cdef struct Evidence:
    unsigned int tag        # hash of the method and path; 0 = the entry is free
    signed char score       # 0 to MAX_SCORE; at LIKELY_SCORE or more a call is expected to block
    bint is_suspect         # the last call took long: the next one is measured exactly
    unsigned char started   # calls since the last measured one, while the score is MAX_SCORE


cdef class Predictor:
    cdef Evidence[TABLE_ENTRIES] table

    # Returns the entry for requests like this one; owned by the predictor, never NULL.
    cdef Evidence* evidence_of(self, Request request) noexcept


cdef enum:
    LIKELY_SCORE = 2
    MAX_SCORE = 4
    MEASURE_INTERVAL = 16   # calls of which one is measured while the score is MAX_SCORE

cdef inline bint likely_blocks(const Evidence* evidence) noexcept:
    return evidence.score >= LIKELY_SCORE

cdef inline bint may_take_long(const Evidence* evidence) noexcept:
    return evidence.is_suspect or evidence.score > 0

# Returns whether the call that starts should be measured with the thread's own clock, which takes four system calls.
cdef inline bint should_measure(Evidence* evidence) noexcept:
    if evidence.score < MAX_SCORE:
        return may_take_long(evidence)
    # The evidence is sufficient. Now and then a call is measured, since they may compute from now on.
    evidence.started = (evidence.started + 1) % MEASURE_INTERVAL
    return evidence.started == 0

# Records a call. duration: seconds; blocked: seconds of these without computing, -1 if that was not measured.
cdef void learn(Evidence* evidence, double duration, double blocked) noexcept
