import ssl
from collections.abc import Callable
from typing import Any, ClassVar, final

from ianus.acceptor.tls.base import TlsFilterFactory
from ianus.acceptor.tls.options import TlsOptions
from ianus.acceptor.tls.pair import LoadedPair

def find_python() -> PythonEngine: ...

@final
class PythonEngine:
    name: ClassVar[str]
    @property
    def library(self) -> str: ...
    def load_pair(self, certificates_pem: bytes, key_pem: bytes, password: bytes | None) -> LoadedPair: ...
    def create_factory(
        self,
        store: Any,
        options: TlsOptions,
        make_context: Callable[[Callable[[], ssl.SSLContext]], ssl.SSLContext] | None = None,
    ) -> PythonFilterFactory: ...

@final
class PythonFilterFactory(TlsFilterFactory):
    def __init__(
        self,
        store: Any,
        options: TlsOptions,
        make_context: Callable[[Callable[[], ssl.SSLContext]], ssl.SSLContext] | None = None,
    ) -> None: ...
