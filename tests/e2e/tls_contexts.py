"""A function of --ssl-context-factory."""

import ssl
from collections.abc import Callable
from typing import Any


def make(config: Any, default_factory: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """Returns the default context without TLS 1.3."""
    assert config.ssl_certfile.endswith("server.crt")
    context = default_factory()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context
