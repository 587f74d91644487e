from ianus.runtime.waker import Waker

class Poll:
    waker: Waker
