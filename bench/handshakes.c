/* Connections over TLS: floods of handshakes, and requests on connections that stay.
 *
 * Usage: handshakes PORT KIND CONNECTIONS RATE SECONDS
 * RATE connections start a second, and at most CONNECTIONS exist at once:
 * `full`: a handshake, a request, its response, and the end.
 * `resumed`: the same with a session of an earlier connection. The first one is alone until it has its session.
 * `first`: the first message of a handshake. The client closes when the server has answered it. So nearly all of the work
 *     is the server's: key exchange and signature.
 * `silent`: the same, but the connection stays until the end of the program, in the middle of its handshake.
 * `asks`: CONNECTIONS exist, and requests arrive RATE times a second at even intervals, on any free one. The time of a
 *     request counts from the moment when it is due, also while it waits for a connection.
 * `is up` is printed to standard error when the connections of `asks` are made; its requests start after a byte of input.
 * SIGTERM ends a flood before SECONDS.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "client.h"

enum { MAX_CONNECTIONS = 8192, EVENTS = 256, HELLO_BYTES = 4096 };

static const char REQUEST[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
static const int64_t STALLED = 10 * SECOND;

struct connection {
    int fd;            /* -1: none */
    SSL *tls;          /* owned; NULL for `first` and `silent`, which have no handshake of their own */
    int64_t since;     /* the start, or when the request was due; 0: no answer is expected */
    int has_connected;
};

static const char *const KINDS[] = {"full", "resumed", "first", "silent", "asks"};
static enum { FULL, RESUMED, FIRST, SILENT, ASKS, KIND_COUNT } kind;
static struct connection connections[MAX_CONNECTIONS];
static int unused[MAX_CONNECTIONS], unused_count; /* indices of connections that can start, or take a request */
static int port, poll_set, limit;
static long failed, resumed;
static char hello[HELLO_BYTES];
static int hello_size;
static SSL_CTX *context;
static SSL_SESSION *session; /* owned; the newest one, or NULL */
static struct samples samples;

static volatile sig_atomic_t is_stopped;

static void stop(int number)
{
    (void)number;
    is_stopped = 1;
}

static int64_t now(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/* Takes the reference. */
static int keep_session(SSL *tls, SSL_SESSION *newest)
{
    (void)tls;
    SSL_SESSION_free(session);
    session = newest;
    return 1;
}

static void make_hello(void)
{
    SSL *tls = SSL_new(context);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    SSL_set_bio(tls, in, out); /* it owns both */
    SSL_set_tlsext_host_name(tls, "localhost");
    SSL_connect(tls);
    hello_size = BIO_read(out, hello, sizeof hello);
    if (hello_size <= 0)
        fail("no first message");
    SSL_free(tls);
}

static void add_answer(struct connection *connection)
{
    add_sample(&samples, now() - connection->since);
    connection->since = 0;
}

static void end(struct connection *connection)
{
    /* Otherwise OpenSSL takes the session for a failed one, and does not offer it again. */
    if (kind == RESUMED && connection->tls)
        SSL_set_shutdown(connection->tls, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(connection->tls);
    connection->tls = NULL;
    close(connection->fd);
    connection->fd = -1;
    unused[unused_count++] = connection - connections;
}

static void end_failed(struct connection *connection)
{
    failed++;
    end(connection);
}

static void start(int index, int64_t since)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct connection *connection = &connections[index];
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        fail("no further socket");
    *connection = (struct connection){.fd = fd, .since = since};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) && errno != EINPROGRESS)
        fail("connection refused");
    if (kind == FULL || kind == RESUMED || kind == ASKS) {
        connection->tls = SSL_new(context);
        SSL_set_fd(connection->tls, fd);
        SSL_set_tlsext_host_name(connection->tls, "localhost");
        SSL_set_connect_state(connection->tls);
        if (kind == RESUMED && session)
            SSL_set_session(connection->tls, session);
    }
    epoll_ctl(poll_set, EPOLL_CTL_ADD, fd, &event);
}

static void ask(struct connection *connection, int64_t since)
{
    connection->since = since;
    if (SSL_write(connection->tls, REQUEST, sizeof REQUEST - 1) != sizeof REQUEST - 1)
        fail("a request could not be sent");
}

static void continue_hello(struct connection *connection, uint32_t events)
{
    char byte;
    if (events & (EPOLLERR | EPOLLHUP))
        return end_failed(connection);
    if (!connection->has_connected && events & EPOLLOUT) {
        connection->has_connected = 1;
        if (send(connection->fd, hello, hello_size, MSG_NOSIGNAL) != hello_size)
            fail("a first message could not be sent");
    }
    if (!(events & EPOLLIN) || !connection->since)
        return;
    if (recv(connection->fd, &byte, 1, MSG_PEEK) <= 0)
        return end_failed(connection);
    add_answer(connection);
    if (kind == FIRST)
        end(connection);
}

/* Returns whether the handshake is complete; otherwise the connection waits, or has ended. */
static int continue_handshake(struct connection *connection)
{
    int result = SSL_do_handshake(connection->tls);
    if (result == 1)
        return 1;
    if (SSL_get_error(connection->tls, result) != SSL_ERROR_WANT_READ)
        end_failed(connection);
    return 0;
}

static void continue_tls(struct connection *connection)
{
    char answer[16384];
    int size;
    if (!SSL_is_init_finished(connection->tls)) {
        if (!continue_handshake(connection))
            return;
        if (kind == FULL || kind == RESUMED) {
            resumed += SSL_session_reused(connection->tls);
            ask(connection, connection->since);
        } else {
            connection->since = 0;
            unused[unused_count++] = connection - connections;
        }
    }
    size = SSL_read(connection->tls, answer, sizeof answer);
    if (size <= 0) {
        if (SSL_get_error(connection->tls, size) == SSL_ERROR_WANT_READ)
            return;
        if (kind == ASKS)
            fail("connection closed instead of an answer");
        return end_failed(connection);
    }
    /* Answers are small, and arrive in one record. */
    if (size < 13 || strncmp(answer, "HTTP/1.1 200 ", 13))
        fail("not an answer of status 200");
    add_answer(connection);
    if (kind == FULL || kind == RESUMED)
        end(connection);
    else
        unused[unused_count++] = connection - connections;
}

static void run_events(int milliseconds)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(poll_set, events, EVENTS, milliseconds);
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        if (connection->fd < 0)
            continue;
        if (connection->tls)
            continue_tls(connection);
        else
            continue_hello(connection, events[i].events);
    }
}

/* One after the other, so that the handshakes do not wait for each other. */
static void connect_all(void)
{
    for (int i = 0; i < limit; i++) {
        int64_t deadline = now() + STALLED;
        start(i, now());
        while (unused_count == i) {
            run_events(1);
            if (failed)
                fail("a handshake has failed");
            if (now() > deadline)
                fail("a handshake took too long");
        }
    }
}

static void run(double rate, double seconds)
{
    int64_t begin = now(), finish = begin + (int64_t)(seconds * SECOND), deadline = finish + STALLED, started = 0;
    while (now() < finish && !is_stopped) {
        while (unused_count) {
            int64_t due = begin + (int64_t)(started / rate * SECOND);
            if (due > now() || due >= finish || (kind == RESUMED && !session && unused_count < limit))
                break;
            started++;
            if (kind == ASKS)
                ask(&connections[unused[--unused_count]], due);
            else
                start(unused[--unused_count], due);
        }
        /* A flood does not catch up on connections that it could not start. */
        if (kind != ASKS && !unused_count)
            started = (int64_t)((now() - begin) / 1e9 * rate) + 1;
        run_events(1);
    }
    while (kind == ASKS && unused_count < limit && now() < deadline)
        run_events(10);
    if (kind == ASKS && unused_count < limit)
        fail("a request without an answer");
    printf("{\"duration_us\": %ld, \"failed\": %ld, \"resumed\": %ld, ", (long)((now() - begin) / 1000), failed,
           resumed);
    report("done", &samples);
    puts("}");
}

int main(int argc, char **argv)
{
    if (argc != 6)
        fail("usage: handshakes PORT KIND CONNECTIONS RATE SECONDS");
    while (kind < KIND_COUNT && strcmp(argv[2], KINDS[kind]))
        kind++;
    port = atoi(argv[1]);
    limit = atoi(argv[3]);
    double rate = atof(argv[4]), seconds = atof(argv[5]);
    if (kind == KIND_COUNT || limit < 1 || limit > MAX_CONNECTIONS || rate <= 0)
        fail("no such kind, or not so many connections");
    samples.times = memory(MAX_SAMPLES * sizeof(int64_t));
    context = SSL_CTX_new(TLS_client_method());
    if (kind == RESUMED) {
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(context, keep_session);
    }
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    make_hello();
    poll_set = epoll_create1(EPOLL_CLOEXEC);
    signal(SIGTERM, stop);
    if (kind == ASKS)
        connect_all();
    else
        for (; unused_count < limit; unused_count++)
            unused[unused_count] = unused_count;
    fprintf(stderr, "is up\n");
    if (kind == ASKS)
        getchar();
    run(rate, seconds);
}
