import socket
from typing import final

from ianus.acceptor.transfers import Transfers
from ianus.exchange.base import Poller, SessionFactory
from ianus.runtime.waker import Waker

@final
class Accepting:
    def add_connection(self, host: Poller, sock: socket.socket, sessions: SessionFactory) -> None: ...
    def join_transfers(self, transfers: Transfers, waker: Waker) -> None: ...
