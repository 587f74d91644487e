from ianus.exchange.base import SessionFactory
from ianus.exchange.service import Service

class HttpSessionFactory(SessionFactory):
    def __init__(self, service: Service) -> None: ...
