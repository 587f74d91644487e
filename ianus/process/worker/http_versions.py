"""The versions of HTTP that a worker serves, by its settings."""

from ianus.settings.schema import Settings


def offers_http1(settings: Settings) -> bool:
    """Returns whether HTTP/1 is served."""
    return settings.http != "2"


def offers_http2(settings: Settings) -> bool:
    """Returns whether HTTP/2 is served to clients with TLS."""
    return settings.http == "2" or (settings.http2 and settings.http != "1")


def reads_http2(settings: Settings) -> bool:
    """Returns whether HTTP/2 is served without TLS."""
    return settings.http == "2" or (settings.http2_cleartext and settings.http != "1")
