"""How whoever serves a reactor is woken by other threads, and how those learn that it takes notice."""
from libc.stdint cimport uint64_t


cdef extern from * nogil:
    """
    #include <stdint.h>
    #include <sys/eventfd.h>
    #include <unistd.h>

    /* For words that one thread writes and others read. */
    static inline uint64_t ianus_look(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
    static inline void ianus_put(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
    """
    uint64_t look_at "ianus_look"(const uint64_t* word)
    void put "ianus_put"(uint64_t* word, uint64_t value)


cdef class Waker:
    cdef readonly int fd        # eventfd, owned; -1 once closed
    cdef bint watched           # a native thread writes to it, so that it stays open as long as this object lives
    cdef uint64_t served        # what was taken notice of: wake-ups, and whatever else comes where they do
    cdef uint64_t closed        # nobody will take notice any more

    cdef void close_fd(self) noexcept
    cdef void wake(self) noexcept nogil     # from any thread
    cdef void serve(self) noexcept          # takes notice, when the fd was readable
