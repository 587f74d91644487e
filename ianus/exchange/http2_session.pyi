from ianus.codec.base import MultiplexedCodecFactory
from ianus.exchange.http_session import HttpSessionFactory
from ianus.exchange.service import Service

class Http2SessionFactory(HttpSessionFactory):
    def __init__(self, service: Service, codecs: MultiplexedCodecFactory) -> None: ...
