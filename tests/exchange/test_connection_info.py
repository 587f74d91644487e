"""The facts of a connection."""

import pytest

from ianus.exchange.recording import CLIENT, SERVER, websocket_scheme
from tests.exchange.conversation import Conversation


@pytest.mark.parametrize(("https", "scheme", "websocket"), [(False, "http", "ws"), (True, "https", "wss")])
def test_the_schemes_of_a_connection(https: bool, scheme: str, websocket: str) -> None:
    info = Conversation(https=https).connection.info
    assert (info.client, info.server) == (CLIENT, SERVER)
    assert info.scheme == scheme
    assert websocket_scheme(info) == websocket
