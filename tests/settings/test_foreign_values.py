"""Values of other servers: words with the same meaning, and advice for those without one."""

from typing import Any

import pytest

from ianus.settings import foreign_values
from ianus.settings.values import Parser
from tests.rows import for_each_row


def refusal(parse: Parser, value: object) -> str:
    with pytest.raises(ValueError, match=r"\.$") as caught:
        parse(value)
    return str(caught.value)


@for_each_row(
    ("parse", "value", "result"),
    [
        (foreign_values.interface, "ASGI3", "asgi3"),
        (foreign_values.interface, "wsgi", "wsgi"),
        (foreign_values.log_level, "Trace", "debug"),
        (foreign_values.log_level, "notset", "debug"),
        (foreign_values.log_level, "WARN", "warning"),
        (foreign_values.log_level, "critical", "critical"),
        (foreign_values.header_map, "drop", "drop"),
        (foreign_values.websockets, "WSPROTO", "auto"),
        (foreign_values.websockets, "none", "none"),
        (foreign_values.websockets, "0", "none"),
        (foreign_values.websockets, True, "auto"),
        (foreign_values.stop_seconds, "10", "10"),
        (foreign_values.stop_seconds, 0.5, "0.5"),
        (foreign_values.proxy_protocol, "V1", "v1"),
        # A switch in older servers.
        (foreign_values.proxy_protocol, True, "auto"),
        (foreign_values.proxy_protocol, False, "off"),
    ],
)
def test_words_of_other_servers(parse: Parser, value: Any, result: str) -> None:
    assert parse(value) == result


@for_each_row(
    ("parse", "value", "expected"),
    [
        (foreign_values.interface, "asginl", "write --interface asgi --lifespan off."),
        (foreign_values.interface, "rsgi", "'rsgi' is an interface of Granian alone; serve the application by asgi."),
        (foreign_values.interface, "cgi", "'cgi' is not one of auto, asgi, asgi3, asgi2, wsgi."),
        (foreign_values.log_level, 3, "3 is not one of critical, error, warning, info, debug."),
        (foreign_values.header_map, "refuse", "'refuse' is not supported; write drop, which removes such fields"),
        (foreign_values.websockets, "all", "'all' is not one of auto, none."),
        (foreign_values.stop_seconds, 0, "0 would wait for requests without a limit; write 1 to end them soon."),
        (foreign_values.proxy_protocol, "v3", "'v3' is not one of off, v1, v2, auto."),
    ],
)
def test_words_without_an_equivalent(parse: Parser, value: Any, expected: str) -> None:
    assert expected in refusal(parse, value)
