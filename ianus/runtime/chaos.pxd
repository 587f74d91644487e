"""Random pauses at hand-overs between threads, so that the stress test sees them in every order.

Only debug builds have them, and only while CHAOS_SEED is set to a seed.
"""


cdef extern from *:
    """
    #ifdef IANUS_DEBUG
    #include <stdlib.h>
    #include <time.h>
    #include <stdint.h>

    static void ianus_pause_nogil(void) {
        static __thread uint64_t state;
        static const char *seed;
        static int asked;
        if (!asked) {
            seed = getenv("CHAOS_SEED");
            asked = 1;
        }
        if (!seed) {
            return;
        }
        if (!state) {
            state = strtoull(seed, NULL, 10) * 2654435761u + (uint64_t)(uintptr_t)&state;
        }
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        if (state % 64 == 0) {
            struct timespec pause = {0, (long)(state >> 32) % 2000000};
            nanosleep(&pause, NULL);
        }
    }
    #define IANUS_CHAOS 1
    #else
    #define ianus_pause_nogil() ((void)0)
    #define IANUS_CHAOS 0
    #endif
    """
    const int CHAOS "IANUS_CHAOS"
    void pause_nogil "ianus_pause_nogil"() noexcept nogil


cdef inline void pause() noexcept:
    """Pauses a thread that has the GIL, and releases the GIL meanwhile."""
    if CHAOS:
        with nogil:
            pause_nogil()
