"""What `send()` raises when nobody is there any more."""

from __future__ import annotations


class ClientDisconnected(OSError):  # noqa: N818 - the event is named "Disconnected Client"
    """The client is gone; what the application sends cannot reach it (ASGI HTTP, "Disconnected Client").

    Applications may catch it to clean up. The server never logs it as an error.
    """

    def __init__(self) -> None:
        super().__init__("the client has disconnected")


def is_disconnect(error: BaseException) -> bool:
    """Whether `error` is a ClientDisconnected, also as the cause of another or alone in exception groups."""
    if isinstance(error, ClientDisconnected):
        return True
    if isinstance(error, BaseExceptionGroup):
        return all(is_disconnect(member) for member in error.exceptions)
    return error.__cause__ is not None and is_disconnect(error.__cause__)
