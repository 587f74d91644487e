import socket
from typing import final

from ianus.exchange.base import Poller, SessionFactory

@final
class Accepting:
    def add_connection(self, host: Poller, sock: socket.socket, sessions: SessionFactory) -> None: ...
