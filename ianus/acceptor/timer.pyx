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
            self.first[i] = -1

    def __dealloc__(self):
        free(self.first)
        free(self.next)
        free(self.previous)
        free(self.due)

    cdef int reserve(self, int entry) except -1:
        cdef int capacity = max(64, self.capacity)
        cdef void* memory
        while capacity <= entry:
            capacity *= 2
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
            self.due[self.capacity] = -1
            self.capacity += 1
        return 0

    cdef int schedule(self, int entry, double when, double now) except -1:
        """Makes sure that the entry expires at `when` or before, but not before the tick after `now`."""
        cdef long long due = <long long>((max(when, now) - self.origin) / self.tick) + 1
        cdef int bucket
        if entry >= self.capacity:
            self.reserve(entry)
        due = max(self.last + 1, min(due, self.last + BUCKETS - 1))
        if self.due[entry] >= 0:
            if self.due[entry] <= due:
                return 0
            self.unlink(entry)
        bucket = <int>(due & (BUCKETS - 1))
        self.due[entry] = due
        self.previous[entry] = -1
        self.next[entry] = self.first[bucket]
        if self.first[bucket] >= 0:
            self.previous[self.first[bucket]] = entry
        self.first[bucket] = entry
        self.busy[bucket >> 6] |= <unsigned long long>1 << (bucket & 63)
        return 0

    cdef int cancel(self, int entry) noexcept:
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
                self.busy[bucket >> 6] &= ~(<unsigned long long>1 << (bucket & 63))
        if self.next[entry] >= 0:
            self.previous[self.next[entry]] = self.previous[entry]
        self.due[entry] = -1
        return 0

    cdef double next_time(self) noexcept:
        """Returns when the next bucket that is not empty expires, 0 if all are empty."""
        cdef long long step
        cdef int bucket
        for step in range(1, BUCKETS):
            bucket = <int>((self.last + step) & (BUCKETS - 1))
            if self.busy[bucket >> 6] == 0:
                continue
            if self.busy[bucket >> 6] >> (bucket & 63) & 1:
                return self.origin + (self.last + step) * self.tick
        return 0

    cdef int pop(self, double now) noexcept:
        cdef long long until = <long long>((now - self.origin) / self.tick)
        cdef int entry
        while self.last < until:
            entry = self.first[<int>((self.last + 1) & (BUCKETS - 1))]
            if entry >= 0:
                self.unlink(entry)
                return entry
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
