"""The timer wheel for all deadlines of a reactor.

Facts: deadlines are pushed back all the time and nearly never reached. Strategy: an entry that is pushed back stays
in its bucket; when that expires, the entry's owner checks the true deadline and schedules it again. So a busy
connection costs a comparison a request and a few expiries a minute. Times beyond the last bucket expire early and are
scheduled again likewise.
"""
from libc.stdlib cimport free, malloc, realloc


cdef class TimerWheel:
    """Entries 0, 1, 2, ... in slots of `tick` seconds. `now` is the time it starts at, in seconds."""

    def __cinit__(self, double now, double tick=0.1):
        cdef int i
        self.tick = tick
        self.origin = now
        self.first = <int*>malloc(BUCKETS * sizeof(int))
        if self.first == NULL:
            raise MemoryError
        for i in range(BUCKETS):
            # calloc() would not do: 0 is the number of an entry.
            self.first[i] = -1

    def __dealloc__(self):
        # Those that were never allocated are NULL.
        free(self.first)
        free(self.next)
        free(self.previous)
        free(self.due)

    cdef int reserve(self, int entry) except -1:
        cdef int capacity = max(64, self.capacity)
        cdef void* memory
        # Doubled, so that n connections cost O(n) copies.
        while capacity <= entry:
            capacity *= 2
        # Each array is stored as soon as it has grown: after a failure of a later one, the destructor frees the right
        # memory.
        memory = realloc(self.next, capacity * sizeof(int))
        if memory == NULL:
            raise MemoryError
        self.next = <int*>memory
        memory = realloc(self.previous, capacity * sizeof(int))
        if memory == NULL:
            raise MemoryError
        self.previous = <int*>memory
        memory = realloc(self.due, capacity * sizeof(long long))
        if memory == NULL:
            raise MemoryError
        self.due = <long long*>memory
        while self.capacity < capacity:
            # `next` and `previous` need no values before the entry is scheduled. The capacity grows last, when all
            # arrays are long enough.
            self.due[self.capacity] = -1
            self.capacity += 1
        return 0

    cdef int schedule(self, int entry, double when, double now) except -1:
        """Makes sure that the entry expires by the tick after `when`, and not before the tick after `now`."""
        # The first tick after the time: a deadline should not expire early, which would only be found out by its owner.
        cdef long long due = <long long>((max(when, now) - self.origin) / self.tick) + 1
        cdef int bucket
        if entry >= self.capacity:
            self.reserve(entry)
        # In a bucket that has not expired yet, and within one round: each bucket holds entries of one tick only.
        due = max(self.last + 1, min(due, self.last + BUCKETS - 1))
        if self.due[entry] >= 0:
            if self.due[entry] <= due:
                # Already in time. Its owner checks the true deadline then.
                return 0
            self.unlink(entry)
        bucket = <int>(due & (BUCKETS - 1))
        self.due[entry] = due
        # Put in front, so that no list is walked.
        self.previous[entry] = -1
        self.next[entry] = self.first[bucket]
        if self.first[bucket] >= 0:
            self.previous[self.first[bucket]] = entry
        self.first[bucket] = entry
        # One bit a bucket: next_time() reads 128 bytes, and not the heads of all lists.
        self.busy[bucket >> 6] |= <unsigned long long>1 << (bucket & 63)
        return 0

    cdef int cancel(self, int entry) noexcept:
        # The arrays are grown by schedule(), so an entry beyond them was never scheduled.
        if entry < self.capacity and self.due[entry] >= 0:
            self.unlink(entry)
        return 0

    cdef int unlink(self, int entry) noexcept:
        cdef int bucket = <int>(self.due[entry] & (BUCKETS - 1))
        if self.previous[entry] >= 0:
            self.next[self.previous[entry]] = self.next[entry]
        else:
            self.first[bucket] = self.next[entry]
            if self.next[entry] < 0:
                # It was the only entry of its bucket.
                self.busy[bucket >> 6] &= ~(<unsigned long long>1 << (bucket & 63))
        if self.next[entry] >= 0:
            self.previous[self.next[entry]] = self.previous[entry]
        # -1 is the mark of an entry that is not in the wheel; the links are outdated from here on.
        self.due[entry] = -1
        return 0

    cdef double next_time(self) noexcept:
        """Returns when the next bucket that is not empty expires, 0 if all are empty."""
        cdef long long step
        cdef int bucket
        for step in range(1, BUCKETS):
            bucket = <int>((self.last + step) & (BUCKETS - 1))
            # The usual case, since nearly all buckets are empty.
            if self.busy[bucket >> 6] == 0:
                continue
            if self.busy[bucket >> 6] >> (bucket & 63) & 1:
                return self.origin + (self.last + step) * self.tick
        return 0

    cdef int pop(self, double now) noexcept:
        # Only ticks that have passed wholly, as schedule() rounds up.
        cdef long long until = <long long>((now - self.origin) / self.tick)
        cdef int entry
        while self.last < until:
            entry = self.first[<int>((self.last + 1) & (BUCKETS - 1))]
            if entry >= 0:
                # One at a time: the caller may schedule or cancel any entry before the next call.
                self.unlink(entry)
                return entry
            # Only after its bucket is empty.
            self.last += 1
        return -1


def expire(TimerWheel wheel not None, double now) -> list:
    """All entries that are due at `now`, taken out; for tests."""
    cdef list entries = []
    cdef int entry = wheel.pop(now)
    while entry >= 0:
        entries.append(entry)
        entry = wheel.pop(now)
    return entries


def schedule(TimerWheel wheel not None, int entry, double when, double now) -> None:
    """Schedules an entry; for tests."""
    wheel.schedule(entry, when, now)


def cancel(TimerWheel wheel not None, int entry) -> None:
    """Takes an entry out; for tests."""
    wheel.cancel(entry)


def next_time(TimerWheel wheel not None) -> float:
    """When the wheel wants to be looked at, 0.0 for never; for tests."""
    return wheel.next_time()
