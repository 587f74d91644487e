/* Requests that arrive at given times, whether or not the server keeps up, and the response times of each kind.
 *
 * `at RATE HEAD_FILE` is a kind that arrives RATE times a second on average, at random moments that are the same in
 * every run. Each takes a free connection of POOL that all such kinds share, or waits for one. Its time counts from its
 * scheduled arrival: a server that stalls is charged for all requests that were due meanwhile (no coordinated omission).
 * `busy N HEAD_FILE` is a kind of N connections of its own that send the next request after each complete response.
 * The program exits when all requests have their response, or at the first error. It uses a whole core.
 * Usage: arrivals PORT SECONDS POOL {at RATE | busy N} HEAD_FILE ...
 */
#define _GNU_SOURCE
#include <math.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

enum { MAX_CONNECTIONS = 256, MAX_KINDS = 4, HEAD_SIZE = 8192 };

static const int64_t STALLED = 10 * SECOND;

struct kind {
    char request[HEAD_SIZE];
    ssize_t length;
    double rate; /* arrivals a second; 0 for a kind of busy connections */
    int busy;
    struct samples samples;
};

struct arrival {
    int64_t time; /* since the start */
    struct kind *kind;
};

struct connection {
    struct kind *kind;  /* of the request in flight; NULL if there is none */
    int64_t since;      /* its scheduled arrival; without a request, the end of the last response */
    int length;         /* received bytes of the response */
    char answer[HEAD_SIZE + 1];
};

static struct kind kinds[MAX_KINDS];
static struct connection connections[MAX_CONNECTIONS];
static struct pollfd sockets[MAX_CONNECTIONS]; /* by connection */
static int unused[MAX_CONNECTIONS], unused_count; /* free ones of the pool; the last used is taken first */
static struct arrival *arrivals;
static long arrival_count;
static struct samples late; /* delays by this program: from arrival and free connection to the send */
static long unanswered; /* requests without a complete response; busy connections count as one each */
static int64_t start;

static int64_t now(void)
{
    return clock_ns(CLOCK_MONOTONIC) - start;
}

static double gap(uint64_t *state, double rate)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u; /* Knuth's generator; its upper bits are random */
    double uniform = ((*state >> 11) + 0.5) / (1ull << 53);
    return -log(uniform) / rate * SECOND;
}

static void plan_arrivals(struct kind *kind, int64_t end)
{
    uint64_t state = 1 + (kind - kinds);
    for (double time = gap(&state, kind->rate); time < end; time += gap(&state, kind->rate)) {
        if (arrival_count == MAX_SAMPLES)
            fail("too many requests to plan");
        arrivals[arrival_count++] = (struct arrival){(int64_t)time, kind};
    }
}

static void send_request(int i, struct kind *kind, int64_t since)
{
    connections[i].kind = kind;
    connections[i].since = since;
    connections[i].length = 0;
    sockets[i].events = POLLIN;
    if (send(sockets[i].fd, kind->request, kind->length, MSG_NOSIGNAL) != kind->length)
        fail("a request could not be sent");
}

/* Returns true once the response is complete. */
static int receive(int i)
{
    struct connection *connection = &connections[i];
    ssize_t length = recv(sockets[i].fd, connection->answer + connection->length, HEAD_SIZE - connection->length, 0);
    if (length <= 0)
        fail("connection closed instead of an answer");
    if (connection->kind == NULL)
        fail("an answer that nobody asked for");
    connection->length += length;
    connection->answer[connection->length] = 0;
    char *end = strstr(connection->answer, "\r\n\r\n");
    if (end == NULL && connection->length < HEAD_SIZE)
        return 0;
    char *field = strcasestr(connection->answer, "\r\ncontent-length:");
    if (end == NULL || field == NULL || field > end || strncmp(connection->answer, "HTTP/1.1 200 ", 13))
        fail("not an answer of status 200 with a Content-Length");
    return connection->length >= end + 4 - connection->answer + atol(field + strlen("\r\ncontent-length:"));
}

static void on_readable(int i, int64_t end)
{
    struct connection *connection = &connections[i];
    struct kind *kind = connection->kind;
    if (!receive(i))
        return;
    int64_t time = now();
    add_sample(&kind->samples, time - connection->since);
    if (kind->rate) {
        connection->kind = NULL;
        connection->since = time;
        unused[unused_count++] = i;
        unanswered--;
    } else if (time < end) {
        send_request(i, kind, time);
    } else {
        close(sockets[i].fd);
        sockets[i].fd = -1; /* poll() ignores it */
        unanswered--;
    }
}

static void send_due(long *next)
{
    while (*next < arrival_count && unused_count && arrivals[*next].time <= now()) {
        struct arrival *arrival = &arrivals[(*next)++];
        int i = unused[--unused_count];
        int64_t both_there = arrival->time > connections[i].since ? arrival->time : connections[i].since;
        add_sample(&late, now() - both_there);
        send_request(i, arrival->kind, arrival->time);
    }
}

static void run(int count, int64_t end)
{
    long next = 0;
    while (unanswered) {
        send_due(&next);
        if (now() > end + STALLED)
            fail("not everything was answered 10 s after the last arrival");
        int ready = poll(sockets, count, 0); /* no sleep: a wakeup takes longer than some responses */
        for (int i = 0; ready > 0 && i < count; i++)
            if (sockets[i].revents) {
                ready--;
                on_readable(i, end);
            }
    }
}

static void read_kind(struct kind *kind, char **argument)
{
    int head = open(argument[2], O_RDONLY);
    kind->length = read(head, kind->request, sizeof kind->request);
    if (kind->length <= 0)
        fail("nothing to send");
    close(head);
    if (!strcmp(argument[0], "at"))
        kind->rate = atof(argument[1]);
    else
        kind->busy = atoi(argument[1]);
    if (!(kind->rate > 0) == !(kind->busy > 0))
        fail("a kind is: at RATE HEAD_FILE, or: busy N HEAD_FILE");
    kind->samples.times = memory(MAX_SAMPLES * sizeof(int64_t));
}

int main(int argc, char **argv)
{
    int kind_count = (argc - 4) / 3, pool = argc > 3 ? atoi(argv[3]) : 0, count = pool;
    if (argc < 7 || argc % 3 != 1 || kind_count > MAX_KINDS)
        fail("usage: arrivals PORT SECONDS POOL {at RATE | busy N} HEAD_FILE ...");
    int64_t end = atol(argv[2]) * SECOND;
    arrivals = memory(MAX_SAMPLES * sizeof *arrivals);
    late.times = memory(MAX_SAMPLES * sizeof(int64_t));
    for (int k = 0; k < kind_count; k++) {
        read_kind(&kinds[k], argv + 4 + 3 * k);
        count += kinds[k].busy;
        if (kinds[k].rate)
            plan_arrivals(&kinds[k], end);
    }
    if (count > MAX_CONNECTIONS || (arrival_count && !pool))
        fail("too many connections or none");
    qsort(arrivals, arrival_count, sizeof *arrivals, by_time); /* the time is the first member of an arrival */
    unanswered = arrival_count + count - pool;
    for (int i = 0; i < count; i++) {
        sockets[i] = (struct pollfd){connect_to(atoi(argv[1])), POLLIN, 0};
        do_not_block(sockets[i].fd);
        if (i < pool)
            unused[unused_count++] = i;
    }
    start = now();
    for (int k = 0, i = pool; k < kind_count; k++)
        for (int n = 0; n < kinds[k].busy; n++)
            send_request(i++, &kinds[k], now());
    run(count, end);
    printf("{\"duration_us\": %ld, \"kinds\": [", (long)(now() / 1000));
    for (int k = 0; k < kind_count; k++) {
        printf(k ? "}, {" : "{");
        report("requests", &kinds[k].samples);
    }
    printf("}], \"late\": {");
    report("requests", &late);
    puts("}}");
}
