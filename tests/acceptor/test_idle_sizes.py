"""The memory of an idle connection: it is the objects below, the address of its client, and an entry of the timer.

`bench/run.py --scenario idle5000` measures all of it: the budget is 500 bytes.
"""

from importlib import import_module

import pytest


@pytest.mark.parametrize(
    ("module", "name", "max_bytes"),
    [
        ("acceptor.connection", "Connection", 128),
        ("exchange.connection_info", "ConnectionInfo", 48),
        ("exchange.http1_session", "Http1Session", 96),
        ("codec.http1.codec", "Http1Codec", 96),
    ],
)
def test_object_of_an_idle_connection_is_small(module: str, name: str, max_bytes: int) -> None:
    """Fields that only a busy connection needs belong to an object that idle ones do not have."""
    assert getattr(import_module(f"ianus.{module}"), name).__basicsize__ <= max_bytes
