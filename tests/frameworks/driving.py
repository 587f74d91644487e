"""What the tests of this folder do to its applications."""

import re
from pathlib import Path

import pytest

from tests.helpers import Client, Server

APPS = Path(__file__).parent

# The ways in which a client leaves; `leave.__name__` is its name.
LEAVES = pytest.mark.parametrize("leave", [Client.close, Client.reset], ids=["closed", "reset"])


def told(server: Server, what: str, detail: str, since: int = 0) -> None:
    """Waits until the application has said just this (tests.e2e.apps.say)."""
    server.log.wait_for(f"^app: {re.escape(what)}: {re.escape(detail)}$", since)


def open_gate(server: Server, name: str) -> None:
    """Lets the requests go on that wait at this gate of the application."""
    with server.connect() as client:
        assert client.post(f"/open/{name}", b"").status == 204
