"""Reading of messages whose keys are not the usual literals."""

from typing import Any

import pytest

from tests.exchange.conversation import GET, OK
from tests.gateway.asgi.stepping import App, AsgiConversation, Message, body, start, value_of


class OwnText(str):
    """Equal to a str, but another object of another type."""

    __slots__ = ()


def at_run_time(message: Message) -> Message:
    """The message with other objects as keys, as a parser of JSON makes them."""
    return {bytes(key, "ascii").decode(): value for key, value in message.items()}


def with_own_text(message: Message) -> Message:
    return {OwnText(key): value for key, value in message.items()}


def with_more_keys(message: Message) -> Message:
    return {"first": 1, **message, 2: "second", None: 3}  # type: ignore[dict-item]


@pytest.fixture
def app(client: AsgiConversation) -> App:
    return client.request(GET)


@pytest.mark.parametrize("make", [at_run_time, with_own_text, with_more_keys])
def test_keys_are_compared_by_their_value(client: AsgiConversation, app: App, make: Any) -> None:
    app.sends(make(start(200, (b"content-length", b"2"))), make(body(b"o", more_body=True)), make(body(b"k")))
    client.run()
    assert client.receives() == OK


def test_the_type_may_be_a_subclass_of_str(client: AsgiConversation, app: App) -> None:
    app.sends(
        {"type": OwnText("http.response.start"), "status": 200},
        {"type": OwnText("http.response.body"), "body": b"ok"},
    )
    client.run()
    assert client.receives() == OK


def test_a_key_that_changes_the_message_while_it_is_compared(client: AsgiConversation, app: App) -> None:
    class Changing:
        def __hash__(self) -> int:
            return hash("type")

        def __eq__(self, other: object) -> bool:
            if sent:
                message.clear()
            return False

    sent: list[bool] = []
    message: Message = {Changing(): 1, **start(200, (b"content-length", b"2"))}  # type: ignore[dict-item]
    sent.append(True)
    app.sends(message, body(b"ok"))
    client.run()
    assert client.receives() == OK


def test_headers_that_change_the_message_while_they_are_read(client: AsgiConversation, app: App) -> None:
    class Truth:
        def __bool__(self) -> bool:
            message.clear()
            return False

    message: Message = {**start(200, (b"content-length", b"2")), "trailers": Truth()}
    app.sends(message, body(b"ok"))
    client.run()
    assert client.receives() == OK


def test_a_key_that_fails_raises(app: App) -> None:
    class Failing:
        def __hash__(self) -> int:
            return hash("type")

        def __eq__(self, other: object) -> bool:
            raise KeyError("a comparison that fails")

    with pytest.raises(KeyError, match="a comparison that fails"):
        value_of(app.send({Failing(): 1, **start()}))  # type: ignore[dict-item]
