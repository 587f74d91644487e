"""The engines of TLS, and the choice of one."""

import importlib
from typing import TYPE_CHECKING, Protocol

from ianus.acceptor.byte_filter import ByteFilterFactory
from ianus.acceptor.tls.options import TlsOptions
from ianus.acceptor.tls.pair import LoadedPair
from ianus.errors import StartupError
from ianus.telemetry.logger import logger

if TYPE_CHECKING:
    from ianus.acceptor.tls.python_contexts import Certificates


class Engine(Protocol):
    """An interface to OpenSSL. name: "openssl" or "python". library: its version as text."""

    name: str
    library: str

    def load_pair(self, certificates_pem: bytes, key_pem: bytes, password: bytes | None) -> LoadedPair:
        """Loads a certificate with its chain, and its key. Raises CertificateError."""

    def create_factory(self, store: "Certificates", options: TlsOptions) -> ByteFilterFactory:
        """Returns the filters of all listeners. Raises TlsOptionError."""


# The preferred engine first. Each has a module of its name here, with a function find_openssl() or find_python(), which
# raises RuntimeError if this Python has no OpenSSL that the engine can use.
ENGINES = ("openssl", "python")


def choose_engine(tls_engine: str) -> Engine:
    """Returns the engine of --tls-engine, or the first one that is available for "auto". Raises StartupError."""
    reasons = []
    for name in ENGINES if tls_engine == "auto" else (tls_engine,):
        try:
            engine: Engine = getattr(importlib.import_module(f"ianus.acceptor.tls.{name}"), f"find_{name}")()
        except (RuntimeError, ImportError) as error:
            reasons.append(f"{name}: {error}")
        else:
            if reasons:
                logger.info("TLS engine not available, using the engine %s: %s", name, "; ".join(reasons))
            return engine
    raise StartupError(
        f"TLS is not available with this Python ({'; '.join(reasons)}). Put a proxy in front.", page="tls"
    )


def describe_engine() -> str:
    """Returns the engine that is chosen by default, and its library, for --version."""
    try:
        engine = choose_engine("auto")
    except StartupError:
        return "TLS is not available with this Python"
    return f"TLS by {engine.library}, engine {engine.name}"
