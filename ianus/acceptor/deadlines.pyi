from typing import final

from ianus.acceptor.poll.base import Poll

@final
class DeadlineTimer:
    def __init__(self, poll: Poll, now: float) -> None: ...
