/* WebSockets that stay open, and messages over them.
 *
 * Opens CONNECTIONS with the request head of HEAD_FILE, prints an empty line and answers pings from then on. For each
 * number of seconds on standard input it measures for that time, and prints a line of JSON. The program exits at the
 * end of input, or at the first error.
 * `idle` sends nothing. `echo` sends the next frame of FRAMES_FILE, which are masked and a message each, on every
 * connection that has got a message back. `fanout` sends one on the first connection once all connections have got one.
 * The time of a message counts from the send of the message that it answers. Contents are not checked.
 * Usage: messages PORT CONNECTIONS HEAD_FILE {idle | {echo | fanout} FRAMES_FILE}
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client.h"

enum { MAX_CONNECTIONS = 16384, MAX_FRAMES = 4096, MAX_EVENTS = 256, RECEIVE_SIZE = 1 << 18, HEAD_SIZE = 8192 };
enum { MAX_HEADER = 14, MASK_SIZE = 4, MAX_CONTROL = 125 };
enum { FIN = 0x80, MASKED = 0x80, OPCODE = 0x0f, CONTROL = 0x08, CLOSE = 0x08, PING = 0x09, PONG = 0x0a };

struct frame {
    const unsigned char *start;
    size_t size;
};

struct connection {
    int fd;
    int header_length; /* received bytes of the current frame's header */
    unsigned char header[MAX_HEADER];
    uint64_t left;     /* missing bytes of its payload; valid once the header is complete */
    int control_length;
    unsigned char control[MAX_CONTROL]; /* the payload of a ping */
    int pong_due;
    size_t to_send;    /* unsent bytes of the current message */
    int frame;         /* index of the next frame to send */
    int64_t since;     /* the time at which the unanswered message was sent */
};

static enum { IDLE, ECHO, FANOUT } mode;
static struct connection connections[MAX_CONNECTIONS];
static int count, got; /* got: connections that have received this fan-out's message */
static struct frame frames[MAX_FRAMES];
static int frame_count;
static struct samples answers;
static long pings, received; /* received: bytes */
static unsigned char input[RECEIVE_SIZE];

static int has_header(const struct connection *connection)
{
    int size = connection->header[1] & 127; /* the last frame's until this one's arrives */
    int wider = size == 127 ? 8 : size == 126 ? 2 : 0;
    int mask = connection->header[1] & MASKED ? MASK_SIZE : 0; /* frames from the floor are masked */
    return connection->header_length >= 2 && connection->header_length == 2 + wider + mask;
}

static uint64_t payload_size(const unsigned char *header)
{
    uint64_t wide;
    uint16_t narrow;
    memcpy(&wide, header + 2, sizeof wide);
    memcpy(&narrow, header + 2, sizeof narrow);
    uint64_t size = header[1] & 127;
    return size == 127 ? be64toh(wide) : size == 126 ? be16toh(narrow) : size;
}

/* The message is sent first: a pong must not be inside a frame. */
static void flush(struct connection *connection)
{
    while (connection->to_send) {
        const struct frame *frame = &frames[connection->frame];
        const unsigned char *rest = frame->start + frame->size - connection->to_send;
        ssize_t sent = send(connection->fd, rest, connection->to_send, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent <= 0)
            fail("a message could not be sent");
        connection->to_send -= sent;
    }
    if (connection->pong_due) {
        unsigned char pong[2 + MASK_SIZE + MAX_CONTROL] = {FIN | PONG, MASKED | connection->control_length}; /* mask 0 */
        memcpy(pong + 2 + MASK_SIZE, connection->control, connection->control_length);
        ssize_t size = 2 + MASK_SIZE + connection->control_length;
        if (send(connection->fd, pong, size, MSG_NOSIGNAL) != size)
            fail("a pong could not be sent");
        connection->pong_due = 0;
    }
}

static void send_message(struct connection *connection)
{
    if (connection->to_send)
        fail("answered before the message was sent");
    connection->frame = (connection->frame + 1) % frame_count;
    connection->to_send = frames[connection->frame].size;
    connection->since = clock_ns(CLOCK_MONOTONIC);
    flush(connection);
}

static void on_message(struct connection *connection)
{
    struct connection *sender = mode == FANOUT ? connections : connection;
    if (mode == IDLE)
        fail("a message that nobody asked for");
    add_sample(&answers, clock_ns(CLOCK_MONOTONIC) - sender->since);
    if (mode == FANOUT && ++got < count)
        return;
    got = 0;
    send_message(sender);
}

static void on_frame(struct connection *connection)
{
    int opcode = connection->header[0] & OPCODE;
    connection->header_length = 0;
    if (opcode == CLOSE)
        fail("closed by the server");
    if (opcode == PING) {
        pings++;
        connection->pong_due = 1;
        flush(connection);
    }
    if (opcode < CONTROL && connection->header[0] & FIN)
        on_message(connection);
}

static void on_control_bytes(struct connection *connection, const unsigned char *data, size_t length)
{
    if (connection->control_length + length > MAX_CONTROL)
        fail("a control frame of more than 125 bytes");
    memcpy(connection->control + connection->control_length, data, length);
    connection->control_length += length;
}

static void on_bytes(struct connection *connection, const unsigned char *data, size_t length)
{
    const unsigned char *end = data + length;
    received += length;
    while (data < end) {
        if (!has_header(connection)) {
            connection->header[connection->header_length++] = *data++;
            if (!has_header(connection))
                continue;
            connection->left = payload_size(connection->header);
            connection->control_length = 0;
        } else {
            size_t there = end - data, taken = there < connection->left ? there : connection->left;
            if (connection->header[0] & CONTROL)
                on_control_bytes(connection, data, taken);
            connection->left -= taken;
            data += taken;
        }
        if (connection->left == 0)
            on_frame(connection);
    }
}

/* Edge-triggered: a read that does not fill the buffer was the last one. */
static void on_event(struct connection *connection)
{
    ssize_t length;
    flush(connection);
    do {
        length = recv(connection->fd, input, sizeof input, 0);
        if (length < 0 && errno == EAGAIN)
            return;
        if (length <= 0)
            fail("connection closed by the server");
        on_bytes(connection, input, length);
    } while (length == sizeof input);
}

static void open_connection(struct connection *connection, int port, const unsigned char *head, size_t size)
{
    static unsigned char answer[HEAD_SIZE + 1];
    size_t length = 0;
    unsigned char *end = NULL;
    connection->fd = connect_to(port);
    if (send(connection->fd, head, size, MSG_NOSIGNAL) != (ssize_t)size)
        fail("a request could not be sent");
    while (end == NULL) {
        ssize_t more = recv(connection->fd, answer + length, HEAD_SIZE - length, 0);
        if (more <= 0)
            fail("no answer to the handshake");
        length += more;
        end = memmem(answer, length, "\r\n\r\n", 4);
    }
    if (memcmp(answer, "HTTP/1.1 101 ", 13))
        fail("the handshake was declined");
    do_not_block(connection->fd);
    on_bytes(connection, end + 4, answer + length - (end + 4));
}

static const unsigned char *content(const char *path, size_t *size)
{
    struct stat status;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &status))
        fail("nothing to send");
    unsigned char *data = memory(status.st_size);
    if (read(fd, data, status.st_size) != status.st_size)
        fail("nothing to send");
    close(fd);
    *size = status.st_size;
    return data;
}

static void read_frames(const char *path)
{
    size_t size;
    const unsigned char *data = content(path, &size), *end = data + size;
    for (; data < end; frame_count++) {
        struct connection reader = {0};
        if (frame_count == MAX_FRAMES)
            fail("too many frames");
        while (!has_header(&reader) && data + reader.header_length < end) {
            reader.header[reader.header_length] = data[reader.header_length];
            reader.header_length++;
        }
        frames[frame_count] = (struct frame){data, reader.header_length + payload_size(reader.header)};
        data += frames[frame_count].size;
    }
    if (frame_count == 0 || data != end)
        fail("no whole frames");
}

static void start(void)
{
    int senders = mode == ECHO ? count : mode == FANOUT ? 1 : 0;
    for (int i = 0; i < senders; i++) {
        connections[i].frame = i % frame_count; /* different frames on different connections */
        send_message(&connections[i]);
    }
}

/* Returns true if standard input is readable. */
static int handle_events(int epoll, int timeout_ms)
{
    struct epoll_event events[MAX_EVENTS];
    int commanded = 0, ready = epoll_wait(epoll, events, MAX_EVENTS, timeout_ms);
    for (int i = 0; i < ready; i++) {
        if (events[i].data.ptr == NULL)
            commanded = 1; /* handle all other events first: each is reported once */
        else
            on_event(events[i].data.ptr);
    }
    return commanded;
}

static void run_until(int epoll, int64_t end)
{
    int64_t left;
    while ((left = end - clock_ns(CLOCK_MONOTONIC)) > 0)
        if (handle_events(epoll, left / 1000000 + 1))
            return;
}

static void measure(int epoll, double seconds)
{
    int64_t begin = clock_ns(CLOCK_MONOTONIC), cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    answers.count = pings = received = 0;
    run_until(epoll, begin + seconds * SECOND);
    printf("{\"duration_us\": %ld, ", (long)((clock_ns(CLOCK_MONOTONIC) - begin) / 1000));
    report("messages", &answers);
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf(", \"received\": %ld, \"pings\": %ld, \"cpu_us\": %ld}\n", received, pings, (long)(cpu / 1000));
}

int main(int argc, char **argv)
{
    size_t head_size;
    count = argc > 2 ? atoi(argv[2]) : 0;
    mode = argc < 5 || !strcmp(argv[4], "idle") ? IDLE : strcmp(argv[4], "echo") ? FANOUT : ECHO;
    if (argc != (mode == IDLE ? 5 : 6) || count < 1 || count > MAX_CONNECTIONS)
        fail("usage: messages PORT CONNECTIONS HEAD_FILE {idle | {echo | fanout} FRAMES_FILE}");
    const unsigned char *head = content(argv[3], &head_size);
    if (mode != IDLE)
        read_frames(argv[5]);
    answers.times = memory(MAX_SAMPLES * sizeof(int64_t));

    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event command = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &command);
    for (int i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &connections[i]};
        open_connection(&connections[i], atoi(argv[1]), head, head_size);
        epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &event);
        handle_events(epoll, 0); /* the server pings the first connections before the last ones are open */
    }
    puts("");
    fflush(stdout);

    char line[64];
    ssize_t length;
    for (int started = 0;; started = 1) {
        while (!handle_events(epoll, -1))
            continue;
        length = read(STDIN_FILENO, line, sizeof line - 1);
        if (length <= 0)
            return 0;
        line[length] = 0;
        if (!started)
            start();
        measure(epoll, atof(line));
        fflush(stdout);
    }
}
