"""The fixture `ianus_server`: a real server for a test, by ianus.testing.

    def test_hello(ianus_server):
        url = ianus_server("main:app")
        assert httpx.get(f"{url}/hello").status_code == 200

pytest loads this module in every run, before coverage is measured: it imports nothing of the server until a test
asks for one.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture
def ianus_server() -> Iterator[Callable[..., str]]:
    """ianus_server(app, **settings): serves an application until the end of the test; returns its URL."""
    with contextlib.ExitStack() as stack:

        def serve(app: Any, **settings: Any) -> str:
            from ianus import testing

            return stack.enter_context(testing.serve(app, **settings))

        yield serve
