/* Shared by the load generators: errors, a clock, connections and samples of times. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum { MAX_SAMPLES = 1 << 22 };

static const int64_t SECOND = 1000000000; /* all times are in nanoseconds */

struct samples {
    int64_t *times; /* MAX_SAMPLES; grows with use: the kernel gives memory when it is touched */
    long count;
};

static inline void fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static inline int64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

static inline void *memory(size_t size)
{
    void *pages = malloc(size);
    if (pages == NULL)
        fail("no memory");
    return pages;
}

static inline int connect_to(int port)
{
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (connect(fd, (struct sockaddr *)&address, sizeof address))
        fail("connection refused");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static inline void do_not_block(int fd)
{
    if (fcntl(fd, F_SETFL, O_NONBLOCK))
        fail("a socket that blocks");
}

static inline void add_sample(struct samples *samples, int64_t time)
{
    if (samples->count == MAX_SAMPLES)
        fail("too many times to remember");
    samples->times[samples->count++] = time;
}

static inline int by_time(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static inline double percentile_us(const struct samples *sorted, double share)
{
    return sorted->count ? sorted->times[(long)(share * (sorted->count - 1))] / 1e3 : 0;
}

/* Prints the samples as members of a JSON object. */
static inline void report(const char *what, struct samples *samples)
{
    qsort(samples->times, samples->count, sizeof(int64_t), by_time);
    printf("\"%s\": %ld, \"p50_us\": %.1f, \"p99_us\": %.1f", what, samples->count, percentile_us(samples, 0.5),
           percentile_us(samples, 0.99));
}
