/* The floor: the cost of a response without parsing the request.
 *
 * One thread, one epoll, one recv and one send for each readable socket. Requests are counted by the empty line that
 * ends their head and each is answered with the same 13 bytes, so pipelined requests work too; nothing is parsed, no
 * limit is kept, and a body that holds an empty line would be taken for a request. A connection whose first bytes are
 * the word Upgrade is an echo from then on: it gets its own bytes back, so frames of WebSockets remain masked.
 * Usage: floor PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FDS = 65536, MAX_EVENTS = 256, RECEIVE_SIZE = 65536, MAX_BATCH = 64 };
enum { NEW = 5, ECHO }; /* states of a connection besides the number of matched bytes */

static const char ANSWER[] = "HTTP/1.1 200 OK\r\n"
                             "server: floor\r\n"
                             "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                             "content-type: text/plain\r\n"
                             "content-length: 13\r\n"
                             "\r\n"
                             "Hello, world!";
static const char SWITCH[] = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
static const char HEAD_END[4] = "\r\n\r\n";
static unsigned char states[MAX_FDS]; /* by fd: how many bytes of HEAD_END the last read ended with, or NEW or ECHO */
static char input[RECEIVE_SIZE];
static char output[MAX_BATCH * (sizeof ANSWER - 1)];

static int count_requests(int fd, ssize_t length)
{
    int requests = 0;
    unsigned char state = states[fd];
    for (ssize_t i = 0; i < length; i++) {
        state = input[i] == HEAD_END[state] ? state + 1 : input[i] == '\r';
        if (state == sizeof HEAD_END) {
            requests++;
            state = 0;
        }
    }
    states[fd] = state;
    return requests;
}

/* Returns false at the end of the connection: end of file, an error, or a client that does not read its responses. */
static int answer(int fd)
{
    ssize_t length = recv(fd, input, sizeof input, 0);
    if (length <= 0)
        return 0;
    if (states[fd] == ECHO)
        return send(fd, input, length, MSG_NOSIGNAL) == length;
    if (states[fd] == NEW) {
        int upgrade = memmem(input, length, "\r\nUpgrade:", 10) != NULL;
        states[fd] = upgrade ? ECHO : 0;
        if (upgrade)
            return send(fd, SWITCH, sizeof SWITCH - 1, MSG_NOSIGNAL) > 0;
    }
    for (int left = count_requests(fd, length); left > 0; left -= MAX_BATCH) {
        ssize_t size = (left < MAX_BATCH ? left : MAX_BATCH) * (ssize_t)(sizeof ANSWER - 1);
        if (send(fd, output, size, MSG_NOSIGNAL) != size)
            return 0;
    }
    return 1;
}

static void welcome(int listener, int epoll)
{
    int one = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (fd >= MAX_FDS) {
        close(fd);
        return;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    states[fd] = NEW;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int listen_on(int port)
{
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
        perror("floor");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv)
{
    int listener = listen_on(argc > 1 ? atoi(argv[1]) : 8000);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[MAX_EVENTS] = {{.events = EPOLLIN, .data.fd = listener}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &events[0]);
    for (int i = 0; i < MAX_BATCH; i++)
        memcpy(output + i * (sizeof ANSWER - 1), ANSWER, sizeof ANSWER - 1);
    for (;;) {
        int ready = epoll_wait(epoll, events, MAX_EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                welcome(listener, epoll);
            else if (!answer(fd))
                close(fd);
        }
    }
}
