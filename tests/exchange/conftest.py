"""Connections without sockets. They are lost after the test, and must have left no exchange then."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ianus.runtime.live_objects import live_objects
from tests.exchange.conversation import Conversation


def _exchanges() -> int:
    counts = live_objects()
    return counts["exchanges"] if counts else 0


@pytest.fixture
def converse() -> Iterator[Callable[..., Conversation]]:
    """Returns a function that opens a connection."""
    before = _exchanges()
    opened: list[Conversation] = []

    def open_one(**how: Any) -> Conversation:
        opened.append(Conversation(**how))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()
    assert _exchanges() <= before, "exchanges are left"


@pytest.fixture
def client(converse: Callable[..., Conversation]) -> Conversation:
    return converse()
