from ianus.exchange.base import SessionFactory

class ProtocolChoice(SessionFactory):
    def __init__(self, http1: SessionFactory, http2: SessionFactory, *, reads_preface: bool) -> None: ...
