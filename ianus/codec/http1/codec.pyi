from ianus.codec.base import SerialCodecFactory
from ianus.codec.limits import Limits

class Http1Factory(SerialCodecFactory):
    def __init__(self, limits: Limits) -> None: ...
