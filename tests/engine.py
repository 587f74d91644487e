"""The objects of the compiled server, with the settings' defaults and a test's own values.

Production code makes them in the same functions, so a test has no table of settings of its own.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from ianus.codec.limits import Limits
from ianus.exchange.base import SessionFactory
from ianus.exchange.gateway import Gateway
from ianus.exchange.service import Deadlines, Service, WebSocketRules
from ianus.gateway.asgi.gateway import AsgiGateway
from ianus.gateway.loading.loader import Application
from ianus.gateway.threads.executor import Executor
from ianus.gateway.wsgi.gateway import WsgiGateway
from ianus.gateway.wsgi.spool import Spool
from ianus.process.worker import stack
from ianus.settings.schema import Settings
from ianus.telemetry.line_format import LineFormat
from ianus.telemetry.observer import Observer


def unchecked_settings(**values: Any) -> Settings:
    """Returns the defaults with these values, which no parser has checked: a limit may be smaller than a user's."""
    settings = Settings()
    for name, value in values.items():
        object.__setattr__(settings, name, value)
    return settings


def limits(**values: Any) -> Limits:
    return stack.build_limits(unchecked_settings(**values))


def deadlines(**values: Any) -> Deadlines:
    return stack.build_deadlines(unchecked_settings(**values))


def websocket_rules(**values: Any) -> WebSocketRules:
    return stack.build_websocket_rules(unchecked_settings(**values))


def service(
    gateway: Gateway,
    *,
    observer: Observer | None = None,
    on_max_requests: Callable[[], None] | None = None,
    **values: Any,
) -> Service:
    """Returns a service, without an access log unless that is the observer."""
    return stack.build_service(gateway, unchecked_settings(**values), observer, on_max_requests)


def sessions(service: Service, **values: Any) -> SessionFactory:
    return stack.build_sessions(service, unchecked_settings(**values))


def asgi_gateway(
    app: Any,
    loop: asyncio.AbstractEventLoop,
    *,
    name: str = "application",
    mount_prefix: str = "",
    state: dict[str, Any] | None = None,
    **values: Any,
) -> AsgiGateway:
    application = Application(app, "asgi3", name, mount_prefix)
    return stack.build_asgi_gateway(application, unchecked_settings(**values), loop, state)


def wsgi_gateway(
    app: Any, executor: Executor, add_connection: Callable[[socket.socket, SessionFactory], None], **values: Any
) -> WsgiGateway:
    application = Application(app, "wsgi", "application", "")
    spool = Spool("", 0, in_memory=True)
    return stack.build_wsgi_gateway(application, unchecked_settings(**values), executor, spool, add_connection)


def line_format(access_log_format: str = "", log_format: str = "text") -> LineFormat:
    return LineFormat(access_log_format=access_log_format, log_format=log_format)
