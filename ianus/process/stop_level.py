"""The levels at which a server or a worker can be asked to stop."""

from enum import IntEnum

# SIGTERM and SIGINT within this time of the first one are the same request: timeout(1) sends SIGTERM to its child, and
# then to the whole group.
REPEAT_SECONDS = 0.5


class StopLevel(IntEnum):
    """How quickly a process is to stop. Each level includes those before it."""

    NONE = 0
    ANNOUNCED = 1  # connections are accepted for --drain-delay; the health path answers 503
    HANDOVER = 2  # requests in flight may finish; other workers accept connections on the same sockets
    GRACEFUL = 3  # requests in flight may finish; new connections are refused
    QUICK = 4  # requests in flight are aborted
    FORCED = 5  # the application's shutdown is skipped too; the supervisor sends SIGKILL
