"""The requests in flight, as they are written.

Facts: when a worker has crashed or is killed, its supervisor logs the requests that the worker was serving, and cannot
ask it for them. Strategy: each request has a line in memory that the supervisor reads too, from the call of its
application until that has returned. There is neither a file nor a lock: claim() is two small copies and a store,
release() is a store.

Compiled because every request passes here: 150 instructions in all.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint16_t, uint32_t
from libc.string cimport memcpy

from ianus.runtime.clock cimport monotonic_coarse


cdef extern from * nogil:
    """
    /* Orders the store after all stores before it: a reader that sees the time sees the line too. Only a line that is
       replaced during the read can be torn. */
    static inline void ianus_publish(double *since, double value) {
        __atomic_store(since, &value, __ATOMIC_RELEASE);
    }
    """
    void publish "ianus_publish"(double* since, double value)

cdef extern from "Python.h":
    const char* PyUnicode_1BYTE_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)


cdef ScoreboardLayout* scoreboard_in(MappedMemory memory) except NULL:
    return <ScoreboardLayout*>memory.writable(sizeof(ScoreboardLayout))


cdef class InFlight:
    """Writes the requests in flight to a scoreboard that is empty.

    Raises ValueError if the memory has another size than a scoreboard, or is read-only.
    """

    def __init__(self, MappedMemory shared not None):
        cdef int index
        self.shared = shared
        self.memory = scoreboard_in(shared)
        self.free_count = REQUEST_ENTRIES
        for index in range(REQUEST_ENTRIES):
            # Numbers from 1, since 0 is "not listed at all". The lowest number is the last entry, and is taken first.
            self.free[index] = <unsigned char>(REQUEST_ENTRIES - index)

    def begin(self, str method not None, bytes target not None) -> int:
        """claim() for tests."""
        return self.claim(method, target)

    def end(self, unsigned char entry) -> None:
        """release() for tests."""
        self.release(entry)

    cdef unsigned char claim(self, str method, bytes target) noexcept:
        """Lists a request and returns the number of its entry. Both arguments are ASCII, as the codec has checked."""
        cdef RequestEntry* entry
        cdef unsigned char number
        cdef Py_ssize_t size = PyUnicode_GET_LENGTH(method), more = PyBytes_GET_SIZE(target)
        self.memory.header.requests += 1
        # Only counted: the list is an aid, and a request must not wait for it.
        if self.free_count == 0:
            self.memory.header.unlisted += 1
            return NOT_LISTED
        self.free_count -= 1
        number = self.free[self.free_count]
        entry = &self.memory.entries[number - 1]
        # Cut: the line has a fixed size, so that the supervisor can read it at any time.
        if size > REQUEST_LINE_BYTES - 1:
            size = REQUEST_LINE_BYTES - 1
        memcpy(entry.line, PyUnicode_1BYTE_DATA(method), size)
        entry.line[size] = b" "
        size += 1
        if more > REQUEST_LINE_BYTES - size:
            more = REQUEST_LINE_BYTES - size
        memcpy(&entry.line[size], PyBytes_AS_STRING(target), more)
        entry.size = <uint16_t>(size + more)
        # Last: an entry counts from the moment that its time is not 0.
        publish(&entry.since, monotonic_coarse())
        return number

    cdef void release(self, unsigned char entry) noexcept:
        if entry == 0:
            return
        if entry == NOT_LISTED:
            self.memory.header.unlisted -= 1
            return
        # First: the supervisor must not take the line of a finished request for a current one.
        publish(&self.memory.entries[entry - 1].since, 0)
        self.free[self.free_count] = entry
        self.free_count += 1

    cdef void note_websockets(self, Py_ssize_t count) noexcept:
        self.memory.header.websockets = <uint32_t>count
