"""The levels at which a server or a worker can be asked to stop."""

from enum import IntEnum


class StopLevel(IntEnum):
    """How quickly a process is to stop. Each level includes those before it."""

    NONE = 0
    HANDOVER = 1  # requests in flight may finish; other workers accept connections on the same sockets
    GRACEFUL = 2  # requests in flight may finish; new connections are refused
    QUICK = 3  # requests in flight are aborted
    FORCED = 4  # the application's shutdown is skipped too; the supervisor sends SIGKILL
