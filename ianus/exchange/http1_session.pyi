from ianus.codec.base import SerialCodecFactory
from ianus.exchange.http_session import HttpSessionFactory
from ianus.exchange.service import Service

class Http1SessionFactory(HttpSessionFactory):
    def __init__(self, service: Service, codecs: SerialCodecFactory) -> None: ...
