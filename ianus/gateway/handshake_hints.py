"""Warnings about proxies that change the handshakes of WebSockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ianus.codec.websocket.handshake import is_downgraded
from ianus.telemetry.logger import logger

if TYPE_CHECKING:
    from ianus.codec.base import Request


def warn_of_proxy(request: Request) -> None:
    """Logs that a proxy has removed the upgrade from a handshake, if the request is one."""
    line = f"{request.method} {request.target.decode('ascii')}"
    if is_downgraded(request):
        logger.warning(
            "WebSocket handshake over HTTP/1.0: the proxy has to use HTTP/1.1 and to forward Upgrade and Connection"
            " (nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection"
            " upgrade): %s",
            line,
        )
    elif request.websocket_key:
        logger.warning(
            "WebSocket handshake without an upgrade, served as a plain request: the proxy has to forward Upgrade and"
            " Connection (nginx: proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade):"
            " %s",
            line,
        )
