from ianus.codec.base import SerialCodecFactory
from ianus.exchange.base import SessionFactory
from ianus.exchange.gateway import Gateway
from ianus.exchange.service import Service

class Http1SessionFactory(SessionFactory):
    def __init__(self, service: Service, codecs: SerialCodecFactory) -> None: ...
    def set_gateway(self, gateway: Gateway) -> None: ...
