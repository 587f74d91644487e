"""Contract: a text given for a setting is refused in words, or its value is shown as a text that reads back as it.

And of a format of the access log: the log can write each format that the setting accepts.
"""

import math
from collections.abc import Callable, Iterable

from ianus.settings.schema import table
from ianus.settings.values import check_access_log_format
from ianus.telemetry.line_format import LineFormat

SETTINGS = [(name, setting) for name, setting, _ in table()]


SEEDS = rb"""
0 10 -1 +5 1e3 0.5 500ms 5m 1h 64k 1GiB 10GB true no 660 0o660 8000 info INFO x-request-id api /api /a%20b/
127.0.0.1 ::1 [::1]:80 h:0 :80 unix:/a fd://3 %(h)s %({a}i)s %({a}o)s %({A}e)s %(x)s %% %
"""


def seeds() -> Iterable[bytes]:
    for name, setting in SETTINGS:
        yield from (text.encode() for text in (name, *setting.choices))
    yield from SEEDS.split()
    yield from (b"", b" ", b"Name: value", b'%(t)s "%(r)s" %%', b"\xff", "\u0665".encode(), b"a\0b", b"a\nb")


def check(data: bytes) -> None:
    # As Python reads arguments and variables of the environment.
    text = data.decode("utf-8", "surrogateescape")
    for name, setting in SETTINGS:
        value, refusal = read(setting.parse, text)
        if refusal:
            assert refusal.endswith((".", "?")), f"{name}: {refusal}"
        elif value is not None:
            shown = setting.to_text(value)
            assert same(setting.parse(shown), value), f"{name}: {value!r} is shown as {shown!r}"
    if not read(check_access_log_format, text)[1]:
        LineFormat(access_log_format=text, log_format="text")


def same(value: object, other: object) -> bool:
    """Whether they are equal; times to the nanosecond, which is more than a change of their unit costs."""
    if isinstance(value, float) and isinstance(other, float):
        return math.isclose(value, other, rel_tol=1e-15, abs_tol=1e-9)
    return value == other


def read(parse: Callable[[str], object], text: str) -> tuple[object, str]:
    """The value, or why there is none."""
    try:
        return parse(text), ""
    except ValueError as error:
        return None, str(error) or "no words"
