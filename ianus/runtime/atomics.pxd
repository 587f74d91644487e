"""Atomic access to 64-bit words that several threads share, some of them without the GIL.

The first three are sequentially consistent: other threads see them in one order. The last two name their order.
"""
from libc.stdint cimport uint64_t


cdef extern from * nogil:
    """
    #include <stdint.h>

    static inline uint64_t ianus_load(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }
    static inline void ianus_store(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_SEQ_CST); }
    static inline int ianus_compare_and_swap(uint64_t *word, uint64_t expected, uint64_t value) {
        return __atomic_compare_exchange_n(word, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    /* Enough for words that one thread writes and others read. */
    static inline uint64_t ianus_load_acquire(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
    static inline void ianus_store_release(uint64_t *word, uint64_t value) {
        __atomic_store_n(word, value, __ATOMIC_RELEASE);
    }
    """
    uint64_t atomic_load "ianus_load"(const uint64_t* word) noexcept
    void atomic_store "ianus_store"(uint64_t* word, uint64_t value) noexcept
    # Stores the value if the word is as expected, and returns whether it was.
    bint compare_and_swap "ianus_compare_and_swap"(uint64_t* word, uint64_t expected, uint64_t value) noexcept
    uint64_t load_acquire "ianus_load_acquire"(const uint64_t* word) noexcept
    void store_release "ianus_store_release"(uint64_t* word, uint64_t value) noexcept
