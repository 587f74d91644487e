"""The stack of a suspended task."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import coroutine
from typing import Any

import pytest

from ianus.gateway.asgi.suspended import task_stack


@coroutine
def suspend() -> Iterator[None]:
    yield


async def inner() -> None:
    await suspend()


async def outer() -> None:
    await inner()


async def items() -> AsyncIterator[int]:
    await inner()
    yield 1


async def iterating() -> None:
    async for _ in items():
        pass


async def next_item() -> None:
    await anext(items())


def names(stack: str) -> list[str]:
    return [line.rpartition(" in ")[2] for line in stack.splitlines() if line.startswith("  File ")]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (outer, ["outer", "inner", "suspend"]),
        (iterating, ["iterating", "items", "inner", "suspend"]),
        (next_item, ["next_item", "items", "inner", "suspend"]),
    ],
)
def test_all_coroutines_that_await_each_other_are_shown(
    start: Callable[[], Coroutine[Any, Any, None]], expected: list[str]
) -> None:
    async def main() -> str:
        task = asyncio.create_task(start())
        await asyncio.sleep(0)
        return task_stack(task)

    stack = asyncio.run(main())
    assert names(stack) == expected
    assert not stack.endswith("\n")


def test_a_task_that_has_ended_has_no_stack() -> None:
    async def main() -> str:
        task = asyncio.create_task(asyncio.sleep(0))
        await task
        return task_stack(task)

    assert asyncio.run(main()) == ""


def test_a_deep_stack_is_cut() -> None:
    async def nested(depth: int) -> None:
        await (nested(depth - 1) if depth else inner())

    async def main() -> str:
        task = asyncio.create_task(nested(200))
        await asyncio.sleep(0)
        return task_stack(task)

    assert asyncio.run(main()).count("in nested") <= 100
