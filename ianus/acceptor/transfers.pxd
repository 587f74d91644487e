"""The transfer queue as one worker uses it (process/transfer_queue has the sockets)."""
from libc.stdint cimport uint64_t

from ianus.runtime.atomics cimport load_acquire
from ianus.runtime.mapped_memory cimport MappedMemory


cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <errno.h>
    #include <poll.h>
    #include <string.h>
    #include <sys/socket.h>
    #include <sys/uio.h>
    #include <unistd.h>

    typedef union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } ianus_control;

    /* Returns 0, or -1 with errno. The caller still owns fd. */
    static inline int ianus_send_descriptor(int queue, int fd) {
        char byte = 0;
        struct iovec piece = {&byte, 1};
        ianus_control control;
        struct msghdr message;
        struct cmsghdr *part;
        ssize_t sent;
        memset(&message, 0, sizeof(message));
        memset(&control, 0, sizeof(control));
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(part), &fd, sizeof(int));
        do sent = sendmsg(queue, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        return sent == 1 ? 0 : -1;
    }

    /* Returns a descriptor, which the caller owns; -1 if the queue is empty; -2 if the message has brought none. */
    static inline int ianus_receive_descriptor(int queue) {
        char byte;
        int fd;
        struct iovec piece = {&byte, 1};
        ianus_control control;
        struct msghdr message;
        struct cmsghdr *part;
        ssize_t received;
        memset(&message, 0, sizeof(message));
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control.bytes);
        do received = recvmsg(queue, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        while (received < 0 && errno == EINTR);
        if (received <= 0) return -1;
        part = CMSG_FIRSTHDR(&message);
        if (part == NULL || part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS
            || part->cmsg_len != CMSG_LEN(sizeof(int))) return -2;
        memcpy(&fd, CMSG_DATA(part), sizeof(int));
        return fd;
    }

    static inline int ianus_is_ready(int fd, short events) {
        struct pollfd one = {fd, events, 0};
        return poll(&one, 1, 0) > 0 && (one.revents & events) != 0;
    }
    """
    int send_descriptor "ianus_send_descriptor"(int queue, int fd) noexcept
    int receive_descriptor "ianus_receive_descriptor"(int queue) noexcept
    bint is_ready "ianus_is_ready"(int fd, short events) noexcept
    short POLLIN, POLLOUT


cdef class Transfers:
    cdef object queue               # the TransferQueue, which owns the descriptors
    cdef int writer, reader         # of the queue, borrowed
    cdef MappedMemory memory        # shared by the processes
    cdef const uint64_t* serving    # in it: the number of workers that serve

    cdef bint put(self, int fd) noexcept nogil      # passes a connection on; the caller still owns fd
    cdef int take(self) noexcept nogil              # as receive_descriptor()


cdef inline bint has_peers(const uint64_t* serving) noexcept nogil:
    """Returns whether another worker serves."""
    return load_acquire(serving) > 1
