"""What there is to say about one setting, and short ways to say it for the usual kinds."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from ianus.settings import values
from ianus.settings.values import Kind


class Alias(NamedTuple):
    """Another name of a setting, which people know from another server.

    name: with underscores, as a field would be called.
    text: makes of the value what the setting itself would be given; raises ValueError.
    """

    name: str
    text: Callable[[object], str] = str


class Setting(NamedTuple):
    """What a field of Settings says about itself.

    kind: checks one value (values.py).
    summary: one sentence for the help page, without default and unit, which are added.
    group: the heading that it stands under.
    unit: what the number counts.
    zero: what 0 stands for, where that is not a number like the others.
    metavar: the placeholder on the help page.
    short: a one-letter flag beside the long one, which is the name.
    many: the value is a tuple, the flag may be repeated.
    separator: what stands between several values in a variable of the environment.
    choices: the values that are offered, where there are few.
    show: one value as text that `kind` reads back.
    aliases: other names, accepted and not shown on the help page.
    variable: a variable of the environment that many programs read; it counts less than all that is meant for us.
    """

    kind: Kind
    summary: str
    group: str
    unit: str = ""
    zero: str = ""
    metavar: str = ""
    short: str = ""
    many: bool = False
    separator: str = ","
    choices: tuple[str, ...] = ()
    show: Callable[[Any], str] = str
    aliases: tuple[Alias, ...] = ()
    variable: str = ""

    def check(self, value: object) -> object:
        """The value as the server uses it. Raises ValueError with value and fix."""
        if not self.many:
            return self.kind(value)
        values = value if isinstance(value, (list, tuple)) else [value]
        return tuple(self.kind(each) for each in values)

    def texts(self, value: Any) -> list[str]:
        """A checked value as text: each of many, none for one that is not set."""
        if value is None:
            return []
        return [self.show(each) for each in (value if self.many else [value])]


def field(
    default: Any, kind: Kind, group: str, summary: str, *, aliases: str | tuple[Alias, ...] = (), **more: Any
) -> Any:
    """A field of Settings. aliases: their names, or what is more to say about them."""
    if isinstance(aliases, str):
        aliases = tuple(Alias(name) for name in aliases.split())
    if more.get("many"):
        summary += " May be repeated."
    setting = Setting(kind, summary, group, aliases=aliases, **more)
    return dataclasses.field(default=default, metadata={"setting": setting})


def path(default: str, group: str, summary: str, **more: Any) -> Any:
    return field(default, more.pop("kind", values.path), group, summary, **more)


def texts(default: tuple[str, ...], group: str, summary: str, **more: Any) -> Any:
    return field(default, values.text, group, summary, many=True, **more)


def flag(default: bool, group: str, summary: str, **more: Any) -> Any:
    return field(default, values.boolean, group, summary, show=values.show_boolean, **more)


def choice(default: str, group: str, summary: str, names: str, **more: Any) -> Any:
    choices = tuple(names.split())
    kind = more.pop("kind", values.choice(*choices))
    return field(default, kind, group, summary, choices=choices, metavar="|".join(choices), **more)


def count(default: int, group: str, summary: str, minimum: int = 0, maximum: int = 2**31 - 1, **more: Any) -> Any:
    return field(default, values.integer(minimum, maximum), group, summary, metavar="N", **more)


def size(default: int, group: str, summary: str, minimum: int = 0, maximum: int = 2**62, **more: Any) -> Any:
    kind = values.size(minimum, maximum)
    return field(default, kind, group, summary, metavar="SIZE", show=values.show_size, **more)


def mebibytes(default: int, group: str, summary: str, **more: Any) -> Any:
    kind = values.integer(0, 1 << 30, "MiB, such as 512")
    return field(default, kind, group, summary, metavar="N", unit="MiB", **more)


def seconds(default: float, group: str, summary: str, *, zero: str = "no limit", **more: Any) -> Any:
    return field(default, values.seconds, group, summary, zero=zero, metavar="TIME", show=values.show_seconds, **more)
