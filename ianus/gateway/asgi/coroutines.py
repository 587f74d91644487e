"""Coroutine functions whose work is done by compiled code, except for awaitables that are not coroutines."""

from collections.abc import Awaitable
from typing import Any


async def receive() -> dict[str, Any]:
    """Has the attributes that the `receive` of an application has."""
    raise NotImplementedError


async def send(message: dict[str, Any]) -> None:
    """Has the attributes that the `send` of an application has."""
    raise NotImplementedError


async def awaiting(awaitable: Awaitable[Any]) -> None:
    """Awaits any awaitable, as a coroutine that tasks can step."""
    await awaitable
