"""Passes on the connections of slots without a worker that serves, while other workers do.

Facts: the kernel has given some connections to the socket of a slot when its worker crashes, or before the steering of
connections (sockets.py) excludes the slot. Strategy: the supervisor watches these sockets, and puts their connections
into the transfer queue. It reads nothing from them. If no worker serves, connections stay in the backlog.
"""

import socket
from collections.abc import Collection
from functools import partial
from time import monotonic

from ianus.acceptor.listener import Listener, set_connection_options
from ianus.process.supervisor.sockets import Sockets
from ianus.process.supervisor.wakeups import Wakeups
from ianus.process.transfer_queue import TransferQueue

# Maximum number of connections that are passed on in one step.
MAX_PASSED = 64

# Seconds after which it is tried again if the queue is full, or no connection can be accepted.
RETRY_SECONDS = 0.05


class UnservedSlots:
    """The sockets of slots without a worker that serves.

    transfers: has the number of workers that serve, too.
    """

    def __init__(self, sockets: Sockets, transfers: TransferQueue, wakeups: Wakeups) -> None:
        self._sockets = sockets
        self._transfers = transfers
        self._wakeups = wakeups
        self._serving: int | None = None
        # Duplicates, so that the number of a closed listener does not become that of another watched file.
        self._watched: dict[Listener, socket.socket] = {}
        self._held: socket.socket | None = None  # a connection that the full queue did not take
        self._retry_at = 0.0  # when watching resumes, 0 for now

    def step(self, serving: Collection[int], now: float) -> None:
        """Watches the sockets of all slots but these. To be called after each change, before the next wait."""
        if self._serving != len(serving):
            self._serving = len(serving)
            self._transfers.set_serving(len(serving))
        if self._held is not None and self._transfers.put(self._held):
            self._held.close()
            self._held = None
        if now >= self._retry_at:
            self._retry_at = 0.0 if self._held is None else now + RETRY_SECONDS
        unserved = self._sockets.listeners_without(serving) if serving and not self._retry_at else []
        for listener in [each for each in self._watched if each not in unserved]:
            self._unwatch(listener)
        for listener in unserved:
            if listener not in self._watched:
                self._watch(listener)

    def finish(self, serving: Collection[int], now: float) -> None:
        """Passes on the connections of all slots but these, before the sockets are closed, and watches none any more.

        Those for which the queue has no space are closed with the sockets.
        """
        self.step(serving, now)
        for listener in self._sockets.listeners_without(serving) if serving else ():
            while self._held is None and self._pass_on(listener.sock):
                pass
        self.step((), now)

    def due(self) -> float:
        """Returns the time of the next step, 0 for the next change."""
        return self._retry_at

    def close_in_child(self) -> None:
        """Closes the descriptors, in a process that was forked from the supervisor."""
        for sock in self._watched.values():
            sock.close()
        if self._held is not None:
            self._held.close()

    def _watch(self, listener: Listener) -> None:
        try:
            # A worker sets them when it listens, and this slot may not have had one.
            set_connection_options(listener.sock)
            sock = listener.sock.dup()
        except OSError:
            self._retry_at = monotonic() + RETRY_SECONDS  # no descriptor is left
            return
        self._watched[listener] = sock
        self._wakeups.watch(sock.fileno(), partial(self._pass_on, sock))

    def _unwatch(self, listener: Listener) -> None:
        sock = self._watched.pop(listener)
        self._wakeups.unwatch(sock.fileno())
        sock.close()

    def _pass_on(self, sock: socket.socket) -> bool:
        """Passes on connections of a listening socket. Returns whether there may be further ones."""
        for _ in range(MAX_PASSED):
            try:
                # Asked first: a connection that was accepted cannot go back.
                connection = sock.accept()[0] if self._transfers.has_space() else None
            except (BlockingIOError, InterruptedError, ConnectionError):
                return False
            except OSError:
                connection = None
            if connection is None:
                self._retry_at = monotonic() + RETRY_SECONDS
                return False
            if not self._transfers.put(connection):
                self._held = connection
                self._retry_at = monotonic() + RETRY_SECONDS
                return False
            connection.close()
        return True
