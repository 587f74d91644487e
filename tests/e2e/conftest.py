"""Fixtures of several files: a gate that is opened without a request, and servers of WSGI applications.

These run in both ways that there are:

led: nothing but WSGI is served, and threads take turns at leading the reactor.
pool: there is an ASGI application too, so the event loop leads, and threads only call.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import Gate, Server

WAYS = {"led": (), "pool": ("--mount", "/asgi=apps:app")}


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with contextlib.closing(Gate(tmp_path / "gate")) as gate:
        yield gate


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return WAYS[request.param]


@pytest.fixture
def shared_wsgi(shared: Callable[..., Server], way: tuple[str, ...]) -> Callable[..., Server]:
    """shared_wsgi(*options): as `shared`, with wsgi_apps:app."""
    return functools.partial(shared, *way, app="wsgi_apps:app")


@pytest.fixture
def wsgi(shared_wsgi: Callable[..., Server]) -> Server:
    return shared_wsgi()


@pytest.fixture
def start_wsgi(start_server: Callable[..., Server], way: tuple[str, ...]) -> Callable[..., Server]:
    """start_wsgi(*options, **how): as `start_server`, with wsgi_apps:app."""
    return functools.partial(start_server, *way, app="wsgi_apps:app")


@pytest.fixture(params=["asgi", *WAYS])
def start_any(start_server: Callable[..., Server], request: pytest.FixtureRequest) -> Callable[..., Server]:
    """start_any(*options): as `start_server`, with apps:app or wsgi_apps:app, which answer alike here."""
    if request.param == "asgi":
        return start_server
    return functools.partial(start_server, *WAYS[request.param], app="wsgi_apps:app")
