"""System calls for the threads of the WSGI gateway: the interpreter's locks, CPU clocks of threads."""
from posix.time cimport clock_gettime, timespec


cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <fcntl.h>
    #include <pthread.h>
    #include <stdio.h>
    #include <string.h>
    #include <sys/resource.h>
    #include <time.h>
    #include <unistd.h>

    /* Voluntary context switches of the calling thread: how often it has had to wait. */
    static inline long ianus_voluntary_switches(void) {
        struct rusage usage;
        return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : 0;
    }
    static inline clockid_t ianus_thread_clock(void) {
        clockid_t clock;
        return pthread_getcpuclockid(pthread_self(), &clock) == 0 ? clock : CLOCK_MONOTONIC;
    }
    static inline int ianus_is_runnable(unsigned long thread_id) {
        char path[48], text[128], *end;  /* the name of a thread has at most 15 bytes */
        ssize_t size;
        int fd;
        snprintf(path, sizeof(path), "/proc/self/task/%lu/stat", thread_id);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return 0;
        size = read(fd, text, sizeof(text) - 1);
        close(fd);
        text[size > 0 ? size : 0] = 0;
        /* The name is in parentheses, and may contain some. proc_pid_stat(5) */
        end = strrchr(text, ')');
        return end != NULL && strncmp(end, ") R", 3) == 0;
    }
    """
    ctypedef int clockid_t
    long voluntary_switches "ianus_voluntary_switches"() noexcept nogil
    # The clock of the calling thread's CPU time; other threads may read it.
    clockid_t thread_clock "ianus_thread_clock"() noexcept nogil
    # Whether a thread of this process has a processor, or waits for one. False on systems without Linux's /proc.
    bint is_runnable "ianus_is_runnable"(unsigned long thread_id) noexcept nogil

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t* mutex, const void* attributes)
    int pthread_mutex_destroy(pthread_mutex_t* mutex)
    int pthread_mutex_lock(pthread_mutex_t* mutex)
    int pthread_mutex_trylock(pthread_mutex_t* mutex)  # 0 if it was free
    int pthread_mutex_unlock(pthread_mutex_t* mutex)

cdef extern from "pythread.h" nogil:
    ctypedef void* PyThread_type_lock
    enum:
        WAIT_LOCK
        NOWAIT_LOCK
        PY_LOCK_ACQUIRED
        PY_LOCK_INTR    # by a signal
    PyThread_type_lock PyThread_allocate_lock()
    void PyThread_free_lock(PyThread_type_lock lock)
    int PyThread_acquire_lock(PyThread_type_lock lock, int wait)
    int PyThread_acquire_lock_timed(PyThread_type_lock lock, long long microseconds, int interruptible)
    void PyThread_release_lock(PyThread_type_lock lock)
    unsigned long PyThread_start_new_thread(void (*function)(void*) noexcept, void* argument)
    unsigned long PyThread_get_thread_ident()
    unsigned long PyThread_get_thread_native_id()


cdef inline PyThread_type_lock new_lock() except NULL:
    cdef PyThread_type_lock lock = PyThread_allocate_lock()
    if lock == NULL:
        raise MemoryError
    return lock


cdef inline PyThread_type_lock new_semaphore() except NULL:
    """Makes a lock that serves as a binary semaphore: a thread that acquires it waits until another releases it."""
    cdef PyThread_type_lock lock = new_lock()
    PyThread_acquire_lock(lock, WAIT_LOCK)
    return lock


cdef inline void free_lock(PyThread_type_lock lock) noexcept:
    if lock != NULL:
        PyThread_free_lock(lock)


cdef inline double seconds_of(clockid_t clock) noexcept nogil:
    cdef timespec now
    if clock_gettime(clock, &now) != 0:
        return 0  # the thread has ended
    return now.tv_sec + now.tv_nsec * 1e-9
