class Observer:
    wants_response_headers: bool
    wants_queue_time: bool

class ObserverGroup(Observer):
    def __init__(self, *members: Observer) -> None: ...
