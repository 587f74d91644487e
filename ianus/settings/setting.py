"""What there is to say about one setting, and short ways to say it for the usual kinds."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from ianus.settings import values
from ianus.settings.values import Parser


class Alias(NamedTuple):
    """Another name of a setting, which people know from another server.

    name: with underscores, as a field would be called.
    convert: makes the setting's own value of the alias's value; raises ValueError.
    """

    name: str
    convert: Callable[[object], str] = str


class Setting(NamedTuple):
    """What a field of Settings says about itself.

    parse: checks and converts one value (values.py).
    summary: one sentence for the help page, without default and unit, which are added.
    group: the heading that it stands under.
    unit: what the number counts.
    zero_means: what 0 stands for, where that is not a number like the others.
    metavar: the placeholder on the help page.
    short: a one-letter flag beside the long one, which is the name.
    repeatable: the value is a tuple, the flag may be repeated.
    separator: what stands between several values in a variable of the environment.
    choices: the values that are offered, where there are few.
    to_text: one value as text that `parse` reads back.
    aliases: other names, accepted and not shown on the help page.
    variable: a variable of the environment that many programs read; it counts less than all that is meant for us.
    """

    parse: Parser
    summary: str
    group: str
    unit: str = ""
    zero_means: str = ""
    metavar: str = ""
    short: str = ""
    repeatable: bool = False
    separator: str = ","
    choices: tuple[str, ...] = ()
    to_text: Callable[[Any], str] = str
    aliases: tuple[Alias, ...] = ()
    variable: str = ""

    def check(self, value: object) -> object:
        """The value as the server uses it. Raises ValueError with value and fix."""
        if not self.repeatable:
            return self.parse(value)
        values = value if isinstance(value, (list, tuple)) else [value]
        return tuple(self.parse(each) for each in values)

    def texts(self, value: Any) -> list[str]:
        """A checked value as text: each of many, none for one that is not set."""
        if value is None:
            return []
        return [self.to_text(each) for each in (value if self.repeatable else [value])]


def field(
    default: Any, parse: Parser, group: str, summary: str, *, aliases: str | tuple[Alias, ...] = (), **more: Any
) -> Any:
    """A field of Settings. aliases: their names, or what is more to say about them."""
    if isinstance(aliases, str):
        aliases = tuple(Alias(name) for name in aliases.split())
    if more.get("repeatable"):
        summary += " May be repeated."
    setting = Setting(parse, summary, group, aliases=aliases, **more)
    return dataclasses.field(default=default, metadata={"setting": setting})


def path(default: str, group: str, summary: str, **more: Any) -> Any:
    return field(default, more.pop("parse", values.path), group, summary, **more)


def texts(default: tuple[str, ...], group: str, summary: str, **more: Any) -> Any:
    return field(default, values.text, group, summary, repeatable=True, **more)


def flag(default: bool, group: str, summary: str, **more: Any) -> Any:
    return field(default, values.boolean, group, summary, to_text=values.boolean_to_text, **more)


def choice(default: str, group: str, summary: str, names: str, **more: Any) -> Any:
    choices = tuple(names.split())
    parse = more.pop("parse", values.choice(*choices))
    return field(default, parse, group, summary, choices=choices, metavar="|".join(choices), **more)


def count(default: int, group: str, summary: str, minimum: int = 0, maximum: int = 2**31 - 1, **more: Any) -> Any:
    return field(default, values.integer(minimum, maximum), group, summary, metavar="N", **more)


def size(default: int, group: str, summary: str, minimum: int = 0, maximum: int = 2**62, **more: Any) -> Any:
    parse = values.size(minimum, maximum)
    return field(default, parse, group, summary, metavar="SIZE", to_text=values.size_to_text, **more)


def mebibytes(default: int, group: str, summary: str, **more: Any) -> Any:
    parse = values.integer(0, 1 << 30, "MiB, such as 512")
    return field(default, parse, group, summary, metavar="N", unit="MiB", **more)


def seconds(default: float, group: str, summary: str, *, zero_means: str = "no limit", **more: Any) -> Any:
    return field(
        default,
        values.seconds,
        group,
        summary,
        zero_means=zero_means,
        metavar="TIME",
        to_text=values.seconds_to_text,
        **more,
    )
