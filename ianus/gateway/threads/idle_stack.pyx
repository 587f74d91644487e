"""See parking.pxd.

Compiled because threads that hold no GIL wake others here.
"""
from ianus.gateway.threads.thread_api cimport (
    PY_LOCK_ACQUIRED, PY_LOCK_INTR, WAIT_LOCK, PyThread_acquire_lock, PyThread_acquire_lock_timed,
    PyThread_release_lock,
)


cdef Order park(Parking* parking, Place* place, double patience, bint interruptible) noexcept nogil:
    """The bottom one waits for as long as it takes: an idle server does not wake."""
    cdef Order order
    cdef int outcome
    cdef long long microseconds = <long long>(patience * 1e6)
    PyThread_acquire_lock(parking.lock, WAIT_LOCK)
    if parking.closed:
        PyThread_release_lock(parking.lock)
        return LEAVE
    if place.order == NONE:
        place.parked = True
        place.below = parking.top
        parking.top = place
        if place.below == NULL:
            microseconds = -1
    PyThread_release_lock(parking.lock)
    while True:
        outcome = PyThread_acquire_lock_timed(place.signal, microseconds, interruptible)
        PyThread_acquire_lock(parking.lock, WAIT_LOCK)
        order = place.order
        if outcome == PY_LOCK_ACQUIRED:
            place.order = NONE
        elif outcome == PY_LOCK_INTR and order == NONE:
            unlink(parking, place)
            order = SIGNALS
        elif order != NONE or place.below == NULL:
            # It was told just now, so the signal is about to come; or those below it have left meanwhile.
            PyThread_release_lock(parking.lock)
            microseconds = -1
            continue
        else:
            unlink(parking, place)
            order = LEAVE
        PyThread_release_lock(parking.lock)
        return order


cdef void unlink(Parking* parking, Place* place) noexcept nogil:
    cdef Place** link = &parking.top
    while link[0] != place:
        link = &link[0].below
    link[0] = place.below
    place.below = NULL
    place.parked = False


cdef void close_parking(Parking* parking) noexcept nogil:
    PyThread_acquire_lock(parking.lock, WAIT_LOCK)
    parking.closed = True
    while parking.top != NULL:
        PyThread_release_lock(take_top(parking, LEAVE).signal)
    PyThread_release_lock(parking.lock)


cdef bint tell_top(Parking* parking, Order order) noexcept nogil:
    cdef Place* place = NULL
    PyThread_acquire_lock(parking.lock, WAIT_LOCK)
    if parking.top != NULL:
        place = take_top(parking, order)
    PyThread_release_lock(parking.lock)
    if place == NULL:
        return False
    PyThread_release_lock(place.signal)
    return True


cdef Place* take_top(Parking* parking, Order order) noexcept nogil:
    """The caller signals it, best without the lock: who wakes wants that at once. A thread that has an order does not
    end before it has the signal, so `place` is there so long.
    """
    cdef Place* place = parking.top
    unlink(parking, place)
    place.order = order
    return place


cdef void tell(Parking* parking, Place* place, Order order) noexcept nogil:
    cdef bint is_signalled
    PyThread_acquire_lock(parking.lock, WAIT_LOCK)
    if place.parked:
        unlink(parking, place)
    is_signalled = place.order != NONE
    place.order = order
    PyThread_release_lock(parking.lock)
    if not is_signalled:
        PyThread_release_lock(place.signal)


cdef void tell_signals(Parking* parking, Place* place) noexcept nogil:
    cdef bint has_order
    PyThread_acquire_lock(parking.lock, WAIT_LOCK)
    has_order = place.order != NONE
    PyThread_release_lock(parking.lock)
    # Another order can be given meanwhile by another thread only with the crew's lock, which the caller has.
    if not has_order:
        tell(parking, place, SIGNALS)
