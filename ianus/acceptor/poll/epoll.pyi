from ianus.acceptor.poll.base import Poll

class Epoll(Poll):
    def __init__(self) -> None: ...
