"""The system calls for sockets and files (Linux)."""
from libc.stdint cimport uint32_t
from posix.types cimport off_t

from ianus.codec.output cimport iovec


cdef extern from "<sys/socket.h>" nogil:
    ctypedef unsigned int socklen_t
    struct sockaddr:
        unsigned short sa_family
    struct sockaddr_storage:
        unsigned short ss_family
    struct msghdr:
        iovec* msg_iov
        size_t msg_iovlen
    struct linger_option "linger":
        int l_onoff
        int l_linger
    ssize_t recv(int fd, void* buffer, size_t size, int flags)
    ssize_t send(int fd, const void* data, size_t size, int flags)
    ssize_t sendmsg(int fd, const msghdr* message, int flags)
    int accept4(int fd, sockaddr* address, socklen_t* size, int flags)
    int getsockname(int fd, sockaddr* address, socklen_t* size)
    int getpeername(int fd, sockaddr* address, socklen_t* size)
    int getsockopt(int fd, int level, int option, void* value, socklen_t* size)
    int setsockopt(int fd, int level, int option, const void* value, socklen_t size)
    int shutdown(int fd, int how)
    enum:
        AF_INET
        AF_INET6
        MSG_MORE
        MSG_NOSIGNAL
        MSG_PEEK
        MSG_TRUNC
        SHUT_RDWR
        SHUT_WR
        SOCK_CLOEXEC
        SOCK_NONBLOCK
        SOL_SOCKET
        SO_LINGER

cdef extern from "<sys/sendfile.h>" nogil:
    ssize_t sendfile(int to, int file, off_t* offset, size_t size)

cdef extern from "<netinet/in.h>" nogil:
    struct in_addr:
        uint32_t s_addr
    struct in6_addr:
        unsigned char s6_addr[16]
    struct sockaddr_in:
        unsigned short sin_port
        in_addr sin_addr
    struct sockaddr_in6:
        unsigned short sin6_port
        in6_addr sin6_addr
    unsigned short ntohs(unsigned short port)

    enum:
        IPPROTO_TCP

cdef extern from "<netinet/tcp.h>" nogil:
    struct tcp_info:
        uint32_t tcpi_last_data_recv    # milliseconds
    enum:
        TCP_INFO
        TCP_NOTSENT_LOWAT

cdef extern from "<arpa/inet.h>" nogil:
    const char* inet_ntop(int family, const void* address, char* text, socklen_t size)

cdef extern from "<unistd.h>" nogil:
    int c_close "close"(int fd)

cdef extern from "<fcntl.h>" nogil:
    int fcntl(int fd, int command, ...)
    enum:
        F_DUPFD_CLOEXEC

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int c_poll "poll"(pollfd* watched, unsigned long number, int milliseconds)
    enum:
        POLLIN
