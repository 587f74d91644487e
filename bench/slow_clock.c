/* CLOCK_MONOTONIC for a server under callgrind, to be preloaded: time passes as slowly as its instructions do.
 *
 * callgrind makes a process about fifty times as slow. A server that ends a batch of requests after a millisecond, or
 * takes a call that lasts for long as one that blocks, would therefore decide otherwise than without callgrind, and
 * otherwise on each machine. Deadlines for waits are by this clock, too, so they are converted for the system.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SLOWER = 50, SECOND = 1000000000 };

static long long start; /* when both clocks showed the same, in nanoseconds */

static long long nanoseconds(const struct timespec *time) { return (long long)time->tv_sec * SECOND + time->tv_nsec; }

static struct timespec as_time(long long nanoseconds) {
    return (struct timespec){.tv_sec = nanoseconds / SECOND, .tv_nsec = nanoseconds % SECOND};
}

static struct timespec as_system_time(const struct timespec *time) {
    return as_time(start + (nanoseconds(time) - start) * SLOWER);
}

__attribute__((constructor)) static void set_start(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    start = nanoseconds(&now);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    /* The function of libc would be this one. */
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && clock == CLOCK_MONOTONIC) *time = as_time(start + (nanoseconds(time) - start) / SLOWER);
    return result;
}

/* CPython and Ianus wait on conditions by CLOCK_MONOTONIC alone. */
int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *deadline) {
    struct timespec system_deadline = as_system_time(deadline);
    return pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &system_deadline);
}

int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *deadline) {
    int (*wait)(sem_t *, clockid_t, const struct timespec *) = dlsym(RTLD_NEXT, "sem_clockwait");
    struct timespec system_deadline = clock == CLOCK_MONOTONIC ? as_system_time(deadline) : *deadline;
    return wait(semaphore, clock, &system_deadline);
}
