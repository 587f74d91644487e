/* Big bodies: a client for requests and responses that are too large for wrk's speed.
 *
 * Each connection sends the request head of a file and then BODY bytes, reads a response with a Content-Length, and
 * repeats this for SECONDS. Then it completes the current transfer: only whole transfers are counted. The kernel drops
 * bodies of responses (MSG_TRUNC) and sends those of requests from its own pages (sendfile), so that the server limits
 * the figure. The program exits at the first error. Usage: stream PORT CONNECTIONS SECONDS HEAD_FILE BODY
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "client.h"

enum { MAX_CONNECTIONS = 256, HEAD_SIZE = 8192, SOURCE_SIZE = 1 << 20, STALLED_MS = 10000 };

struct connection {
    long to_send;          /* unsent bytes of the request's body */
    long to_receive;       /* missing bytes of the response's body; -1 while its head is not complete */
    int head_length;       /* received bytes of the response's head */
    char head[HEAD_SIZE + 1];
};

static struct connection connections[MAX_CONNECTIONS];
static struct pollfd sockets[MAX_CONNECTIONS]; /* by connection */
static char request[HEAD_SIZE];
static ssize_t request_length;
static long body_length;
static int source; /* a file in memory from which bodies are sent */

static void start_request(int i)
{
    connections[i].to_send = body_length;
    connections[i].to_receive = -1;
    connections[i].head_length = 0;
    sockets[i].events = body_length ? POLLIN | POLLOUT : POLLIN;
    if (send(sockets[i].fd, request, request_length, MSG_NOSIGNAL | (body_length ? MSG_MORE : 0)) != request_length)
        fail("a request could not be sent");
}

static void send_body(int i)
{
    struct connection *connection = &connections[i];
    while (connection->to_send) {
        off_t offset = 0;
        size_t size = connection->to_send < SOURCE_SIZE ? connection->to_send : SOURCE_SIZE;
        ssize_t sent = sendfile(sockets[i].fd, source, &offset, size);
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent <= 0)
            fail("a body could not be sent");
        connection->to_send -= sent;
    }
    sockets[i].events = POLLIN;
}

static void receive_head(int i)
{
    struct connection *connection = &connections[i];
    char *free_part = connection->head + connection->head_length;
    ssize_t length = recv(sockets[i].fd, free_part, HEAD_SIZE - connection->head_length, 0);
    if (length <= 0)
        fail("connection closed instead of an answer");
    connection->head_length += length;
    connection->head[connection->head_length] = 0;
    char *end = strstr(connection->head, "\r\n\r\n");
    if (end == NULL && connection->head_length < HEAD_SIZE)
        return;
    char *field = strcasestr(connection->head, "\r\ncontent-length:");
    if (end == NULL || field == NULL || field > end || strncmp(connection->head, "HTTP/1.1 200 ", 13))
        fail("not an answer of status 200 with a Content-Length");
    long already = connection->head + connection->head_length - (end + 4);
    connection->to_receive = atol(field + strlen("\r\ncontent-length:")) - already;
}

static void receive_body(int i)
{
    ssize_t length = recv(sockets[i].fd, NULL, connections[i].to_receive, MSG_TRUNC);
    if (length <= 0)
        fail("connection closed within an answer");
    connections[i].to_receive -= length;
}

/* Returns true once the response is complete. */
static int receive(int i)
{
    if (connections[i].to_receive < 0)
        receive_head(i);
    else
        receive_body(i);
    if (connections[i].to_receive == 0 && connections[i].to_send)
        fail("answered before the body was sent");
    return connections[i].to_receive == 0;
}

static void prepare(const char *head_file)
{
    int head = open(head_file, O_RDONLY);
    request_length = read(head, request, sizeof request);
    source = memfd_create("body", MFD_CLOEXEC);
    if (request_length <= 0 || source < 0 || ftruncate(source, SOURCE_SIZE))
        fail("nothing to send");
    close(head);
}

int main(int argc, char **argv)
{
    if (argc != 6 || atoi(argv[2]) > MAX_CONNECTIONS)
        fail("usage: stream PORT CONNECTIONS SECONDS HEAD_FILE BODY");
    int count = atoi(argv[2]), busy = count;
    long requests = 0;
    body_length = atol(argv[5]);
    signal(SIGPIPE, SIG_IGN); /* sendfile() has no MSG_NOSIGNAL */
    prepare(argv[4]);
    for (int i = 0; i < count; i++)
        do_not_block(sockets[i].fd = connect_to(atoi(argv[1])));
    int64_t start = clock_ns(CLOCK_MONOTONIC), deadline = start + atol(argv[3]) * SECOND;
    for (int i = 0; i < count; i++)
        start_request(i);
    while (busy) {
        if (poll(sockets, count, STALLED_MS) <= 0)
            fail("nothing came and nothing could be sent for 10 s");
        for (int i = 0; i < count; i++) {
            if (sockets[i].revents & POLLOUT)
                send_body(i);
            if (!(sockets[i].revents & (POLLIN | POLLHUP | POLLERR)) || !receive(i))
                continue;
            requests++;
            if (clock_ns(CLOCK_MONOTONIC) < deadline) {
                start_request(i);
            } else {
                close(sockets[i].fd);
                sockets[i].fd = -1; /* poll() ignores it */
                busy--;
            }
        }
    }
    int64_t duration = clock_ns(CLOCK_MONOTONIC) - start;
    printf("{\"requests\": %ld, \"duration_us\": %ld}\n", requests, (long)(duration / 1000));
}
