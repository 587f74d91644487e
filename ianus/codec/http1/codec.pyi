from ianus.codec.base import CodecFactory
from ianus.codec.limits import Limits

class Http1Factory(CodecFactory):
    def __init__(self, limits: Limits) -> None: ...
