"""The transfer queue: connections that one process of a server passes to another one.

Facts: the kernel spreads connections among the listening sockets of the workers, also to a worker that is blocked in a
call, loads its application, or has crashed. Strategy: connections that their worker cannot serve now are passed to any
worker that can. The queue is a pair of sockets that all processes of a server share, and each message carries one
descriptor. A worker that can serve a connection takes the next message. During an upgrade both servers share the pair.

Rules:
- Only connections of which no byte of the next request was read are passed on.
- A connection in the queue belongs to the kernel, so it outlives the process that has put it there. The supervisor
  holds both ends open, and a worker that stops empties the queue first.
- The descriptor needs no further data: its local address identifies the listener.

The supervisor also writes the number of workers that serve. With less than two, no worker passes connections on.
"""

import os
import select
import socket
import struct

# The shared memory: the number of workers that serve.
SERVING = struct.Struct("=Q")
SIZE = SERVING.size

# Bytes of the queue, for about 500 messages. The kernel may grant less.
QUEUE_BYTES = 512 * 1024


class TransferQueue:
    """The two ends of the queue and the shared memory, in each process that has them.

    ends: descriptors of the writer and the reader, in a process that has received them; without them, a new pair is
    created. memory_fd: the memory, in a process that has received it; -1 creates it. Raises OSError if the system
    cannot create them.
    """

    def __init__(self, ends: tuple[int, int] | None = None, memory_fd: int = -1) -> None:
        self.memory_fd = memory_fd
        if ends is not None:
            self.writer, self.reader = (socket.socket(fileno=fd) for fd in ends)
        else:
            self.writer, self.reader = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if memory_fd >= 0:
            return
        try:
            if ends is None:
                for end in (self.writer, self.reader):
                    end.setblocking(False)
                self.writer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, QUEUE_BYTES)
            self.memory_fd = os.memfd_create("ianus-transfers")
            os.ftruncate(self.memory_fd, SIZE)
        except BaseException:
            self.writer.close()
            self.reader.close()
            raise

    def fds(self) -> tuple[int, int, int]:
        """Returns the descriptors for another process."""
        return self.writer.fileno(), self.reader.fileno(), self.memory_fd

    def set_serving(self, workers: int) -> None:
        """Writes the number of workers that serve."""
        os.pwrite(self.memory_fd, SERVING.pack(workers), 0)

    def has_space(self) -> bool:
        """Returns whether put() would succeed."""
        poll = select.poll()
        poll.register(self.writer, select.POLLOUT)
        return bool(poll.poll(0))

    def put(self, connection: socket.socket) -> bool:
        """Passes a connection to the next worker that can serve it. Returns false if the queue is full.

        No byte of its next request may have been read (but see MSG_PEEK). The caller still closes its own descriptor,
        without shutdown().
        """
        connection.setblocking(False)
        try:
            socket.send_fds(self.writer, [b"\0"], [connection.fileno()])
        except OSError:  # full, or the user has too many descriptors in messages (ETOOMANYREFS)
            return False
        return True

    def discard(self) -> int:
        """Closes the connections in the queue, and returns their number. For the last process that has it."""
        count = 0
        while True:
            try:
                _, fds, _, _ = socket.recv_fds(self.reader, 1, 1)
            except OSError:  # empty
                return count
            count += 1
            for fd in fds:
                os.close(fd)

    def close(self) -> None:
        """Closes the descriptors of this process. May be called twice."""
        self.writer.close()
        self.reader.close()
        if self.memory_fd >= 0:
            os.close(self.memory_fd)
            self.memory_fd = -1
