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
        free(self.entries)

    cdef int reserve(self, int entry) except -1:
        cdef int capacity = max(64, self.capacity)
        cdef void* memory
        # By half, so that n connections cost O(n) copies, and a third of the memory is unused at most.
        while capacity <= entry:
            capacity += capacity // 2
        memory = realloc(self.entries, capacity * sizeof(WheelEntry))
        if memory == NULL:
            raise MemoryError
        self.entries = <WheelEntry*>memory
        while self.capacity < capacity:
            # The links need no values before the entry is scheduled.
            self.entries[self.capacity].bucket = -1
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
        if self.entries[entry].bucket >= 0:
            if self.due(entry) <= due:
                # Already in time. Its owner checks the true deadline then.
                return 0
            self.unlink(entry)
        bucket = <int>(due & (BUCKETS - 1))
        self.entries[entry].bucket = <short>bucket
        # Put in front, so that no list is walked.
        self.entries[entry].previous = -1
        self.entries[entry].next = self.first[bucket]
        if self.first[bucket] >= 0:
            self.entries[self.first[bucket]].previous = entry
        self.first[bucket] = entry
        # One bit a bucket: next_time() reads 128 bytes, and not the heads of all lists.
        self.busy[bucket >> 6] |= <unsigned long long>1 << (bucket & 63)
        return 0

    cdef int cancel(self, int entry) noexcept:
        # The array is grown by schedule(), so an entry beyond it was never scheduled.
        if entry < self.capacity and self.entries[entry].bucket >= 0:
            self.unlink(entry)
        return 0

    cdef long long due(self, int entry) noexcept:
        # All entries are within one round after the last tick that was expired, so the bucket is enough.
        cdef long long first = self.last + 1
        return first + ((self.entries[entry].bucket - first) & (BUCKETS - 1))

    cdef int unlink(self, int entry) noexcept:
        cdef WheelEntry* links = &self.entries[entry]
        cdef int bucket = links.bucket
        if links.previous >= 0:
            self.entries[links.previous].next = links.next
        else:
            self.first[bucket] = links.next
            if links.next < 0:
                # It was the only entry of its bucket.
                self.busy[bucket >> 6] &= ~(<unsigned long long>1 << (bucket & 63))
        if links.next >= 0:
            self.entries[links.next].previous = links.previous
        # The links are outdated from here on.
        links.bucket = -1
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
