from ianus.codec.base import MultiplexedCodecFactory
from ianus.exchange.base import SessionFactory
from ianus.exchange.gateway import Gateway
from ianus.exchange.service import Service

class Http2SessionFactory(SessionFactory):
    def __init__(self, service: Service, codecs: MultiplexedCodecFactory) -> None: ...
    def set_gateway(self, gateway: Gateway) -> None: ...
