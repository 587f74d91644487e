from collections.abc import Callable
from typing import Any, ClassVar, final

from ianus.acceptor.tls.base import TlsFilterFactory
from ianus.acceptor.tls.options import TlsOptions
from ianus.acceptor.tls.pair import LoadedPair

def find_openssl() -> OpenSslEngine: ...

@final
class OpenSslEngine:
    name: ClassVar[str]
    library: str
    clock: Callable[[], float]
    def load_pair(self, certificates_pem: bytes, key_pem: bytes, password: bytes | None) -> LoadedPair: ...
    def create_factory(self, store: Any, options: TlsOptions) -> OpenSslFilterFactory: ...

@final
class OpenSslFilterFactory(TlsFilterFactory):
    def __init__(self, engine: OpenSslEngine, store: Any, options: TlsOptions) -> None: ...
