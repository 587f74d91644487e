"""Helpers for the tests of this folder: they wait for log lines, open latches, and connect clients."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response
from websockets.sync.client import ClientConnection, connect

from tests.helpers import WAIT_SECONDS, Client, Server, tls_of_threads, url_of

APPS = Path(__file__).parent

# The ways in which a client disconnects; `disconnect.__name__` is its name.
DISCONNECTS = pytest.mark.parametrize("disconnect", [Client.close, Client.reset], ids=["closed", "reset"])


def expect_app_log(server: Server, what: str, detail: str, since: int = 0) -> None:
    """Waits until the application has reported exactly this (tests.e2e.apps.report)."""
    server.log.wait_for(f"^app: {re.escape(what)}: {re.escape(detail)}$", since)


def open_latch(server: Server, name: str) -> None:
    """Opens the application's latch of this name: requests that wait at it continue."""
    with server.connect() as client:
        assert client.post(f"/open/{name}", b"").status == 204


# --- WebSockets ---


@contextmanager
def websocket(server: Server, path: str, **options: Any) -> Iterator[ClientConnection]:
    """A WebSocket as its users have one, with permessage-deflate; options: those of the library `websockets`.

    Raises InvalidStatus when the server does not answer 101.
    """
    assert isinstance(server.address, tuple)
    with connect(
        url_of(server.address, path, "ws"),
        ssl=tls_of_threads(server.address),
        proxy=None,
        open_timeout=WAIT_SECONDS,
        close_timeout=WAIT_SECONDS,
        **options,
    ) as socket:
        yield socket


def refused(server: Server, path: str, **options: Any) -> Response:
    """Returns the response to a handshake that is not accepted."""
    with pytest.raises(InvalidStatus) as caught, websocket(server, path, **options):
        pass
    return caught.value.response


def upgraded(server: Server, path: str, *fields: bytes) -> Client:
    """Opens a WebSocket whose connection a test can end in any way, without a close frame."""
    client = server.connect()
    client.request(
        path,
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: 13",
        *fields,
    )
    _, status, _, headers = client.head()
    # The key and its answer are those of RFC 6455, 1.3.
    assert (status, dict(headers)[b"sec-websocket-accept"]) == (101, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    return client
