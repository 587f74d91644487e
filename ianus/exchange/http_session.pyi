from ianus.exchange.base import SessionFactory
from ianus.exchange.gateway import Gateway
from ianus.exchange.service import Service

class HttpSessionFactory(SessionFactory):
    def __init__(self, service: Service) -> None: ...
    def set_gateway(self, gateway: Gateway) -> None: ...
