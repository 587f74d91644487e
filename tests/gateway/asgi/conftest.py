"""Connections to ASGI applications. After the test they are lost, and must have left no exchange and no task then."""

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ianus.runtime.live_objects import live_objects
from tests.gateway.asgi.stepping import AsgiConversation


def _exchanges() -> int:
    counts = live_objects()
    return counts["exchanges"] if counts else 0


@pytest.fixture
def converse(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., AsgiConversation]]:
    """Returns a function that opens a connection."""
    before = _exchanges()
    opened: list[AsgiConversation] = []

    def open_one(*args: Any, **how: Any) -> AsgiConversation:
        opened.append(AsgiConversation(*args, **how))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()
    for record in caplog.get_records("call"):
        record.exc_info = None  # Its traceback has the frames of the call.
    if _exchanges() != before:
        gc.collect()
    assert _exchanges() <= before, "exchanges are left"


@pytest.fixture
def client(converse: Callable[..., AsgiConversation]) -> AsgiConversation:
    return converse()
