"""Parsers of the settings about statsd: the address of its server, the prefix of the names, and Datadog's tags."""

import re

from ianus.settings.values import format_value


def address(value: object) -> str:
    """Parses HOST:PORT or unix://PATH; "" is none."""
    if value == "" or (isinstance(value, str) and _target(value) is not None):
        return str(value)
    raise ValueError(
        f"{format_value(value)} is not the address of a statsd server, such as localhost:8125, [::1]:8125 or"
        " unix:///run/statsd.sock."
    )


def target(statsd_host: str) -> str | tuple[str, int]:
    """Returns the path, or host and port. statsd_host: a text that address() accepts, and not an empty one."""
    found = _target(statsd_host)
    assert found is not None
    return found


def _target(text: str) -> str | tuple[str, int] | None:
    if match := re.fullmatch(r"unix:(?://)?(/[^/\0][^\0]*)", text):
        return match[1]
    match = re.fullmatch(r"(?:udp://)?(?:\[([0-9a-fA-F:.]+)\]|([^\s\[\]:/#\0]+)):([0-9]{1,5})", text)
    if match is None or not 0 < int(match[3]) < 65536:
        return None
    return match[1] or match[2], int(match[3])


def prefix(value: object) -> str:
    """Parses the first part of all names. It may be empty."""
    if isinstance(value, str) and re.fullmatch(r"[!-9;-{}~]{0,200}", value) and not set(value) & set("@#"):
        return value
    raise ValueError(f"{format_value(value)} is not a prefix for names of metrics, such as shop or shop.web.")


def tags(value: object) -> str:
    """Parses tags as Datadog's server reads them, such as `env:prod,region:eu`. There may be none."""
    if isinstance(value, str) and re.fullmatch(r"[^\s|#\x00-\x1f]{0,500}", value):
        return value
    raise ValueError(f"{format_value(value)} is not a list of tags, such as env:prod,region:eu.")
