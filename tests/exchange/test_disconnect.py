"""The meaning of an exception that an application raises, with any links to others."""

import asyncio
from typing import Any

import pytest

from ianus.exchange.disconnect import ClientDisconnected, Meaning, meaning_of
from tests.e2e.exception_apps import BIG_KINDS, KINDS, ClientDisconnect

Disconnect = ClientDisconnected


def linked(error: BaseException, *, cause: BaseException | None = None, context: BaseException | None = None) -> Any:
    error.__cause__, error.__context__ = cause, context
    return error


def chain(length: int) -> BaseException:
    error: BaseException = Disconnect()
    for _ in range(length):
        error, cause = ValueError(), error
        error.__cause__ = cause
    return error


def own_cause(error: BaseException) -> BaseException:
    error.__cause__ = error
    return error


class WebSocketDisconnect(Exception):  # noqa: N818 - as Starlette has it
    pass


class Derived(ClientDisconnect):
    pass


@pytest.mark.parametrize(
    "error",
    [
        Disconnect(),
        own_cause(Disconnect()),
        chain(1),
        chain(500),
        linked(ClientDisconnect(), context=Disconnect()),
        linked(asyncio.CancelledError(), context=Disconnect()),
        linked(asyncio.CancelledError(), cause=Disconnect()),
        linked(asyncio.CancelledError(), context=linked(asyncio.CancelledError(), context=Disconnect())),
        ExceptionGroup("", [Disconnect()]),
        BaseExceptionGroup("", [chain(3), ExceptionGroup("", [Disconnect(), Disconnect()])]),
        BaseExceptionGroup("", [asyncio.CancelledError(), Disconnect(), GeneratorExit()]),
        linked(RuntimeError(), cause=ExceptionGroup("", [Disconnect()])),
    ],
)
def test_disconnects(error: BaseException) -> None:
    assert meaning_of(error) is Meaning.DISCONNECT


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        GeneratorExit(),
        own_cause(asyncio.CancelledError()),
        linked(asyncio.CancelledError(), context=ValueError()),
        BaseExceptionGroup("", [asyncio.CancelledError(), GeneratorExit()]),
    ],
)
def test_cancellations(error: BaseException) -> None:
    assert meaning_of(error) is Meaning.CANCELLATION


@pytest.mark.parametrize(
    "error",
    [
        ClientDisconnect(),
        WebSocketDisconnect(),
        Derived(),
        linked(ClientDisconnect(), context=KeyError()),
        BaseExceptionGroup("", [WebSocketDisconnect(), asyncio.CancelledError(), Disconnect()]),
    ],
)
def test_notices_of_frameworks(error: BaseException) -> None:
    assert meaning_of(error) is Meaning.NOTICE


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        OSError(),
        SystemExit(),
        own_cause(ValueError()),
        linked(ValueError(), context=Disconnect()),
        linked(ValueError(), cause=ClientDisconnect()),
        linked(ValueError(), cause=linked(ValueError(), context=Disconnect())),
        linked(ValueError(), cause=asyncio.CancelledError()),
        ExceptionGroup("", [Disconnect(), ValueError()]),
        BaseExceptionGroup("", [asyncio.CancelledError(), ValueError()]),
        chain(100_000),
    ],
)
def test_errors(error: BaseException) -> None:
    assert meaning_of(error) is Meaning.ERROR


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.slow if kind in BIG_KINDS else ())
        for kind in KINDS
        if kind not in ("notice", "unmeant")
    ],
)
def test_exceptions_of_every_make_are_errors(kind: str) -> None:
    assert meaning_of(KINDS[kind]()) is Meaning.ERROR
