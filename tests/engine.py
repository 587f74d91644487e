"""The objects of the compiled server, with the settings' defaults and a test's own values.

Production code makes them in the same functions, so a test has no table of settings of its own.
"""

from typing import Any

from ianus.codec.limits import Limits
from ianus.exchange.gateway import Gateway
from ianus.exchange.service import Deadlines, Service, WebSocketRules
from ianus.process.worker import stack
from ianus.settings.schema import Settings
from ianus.telemetry.line_format import LineFormat


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


def service(gateway: Gateway, **values: Any) -> Service:
    """Returns a service without an access log."""
    return stack.build_service(gateway, unchecked_settings(**values), None, on_max_requests=None)


def line_format(access_log_format: str = "", log_format: str = "text") -> LineFormat:
    return LineFormat(access_log_format=access_log_format, log_format=log_format)
