"""The description of one setting, and short ways to declare the usual kinds."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ianus.settings import values
from ianus.settings.values import Parser


class Alias(NamedTuple):
    """Another name of a setting, which other servers use.

    name: with underscores, as a field would be called.
    convert: makes the setting's own value of the alias's value; raises ValueError.
    is_single: of several values on a line the last one counts, as in those servers, even if the setting is repeatable.
    """

    name: str
    convert: Callable[[object], str] = str
    is_single: bool = False


class Setting(NamedTuple):
    """The description of a setting, kept with its field of Settings.

    parse: checks and converts one value (values.py).
    summary: one sentence for the help page, without default and unit, which are added. At most MAX_SUMMARY characters.
    group: the heading that it stands under.
    details: further sentences for docs/settings.md.
    common: the short help page shows it.
    unit: the unit of the number.
    zero_means: the meaning of 0, if it is not an ordinary number.
    metavar: the placeholder on the help page.
    short: a one-letter flag beside the long one, which is the name.
    repeatable: the value is a tuple, and the flag may be repeated.
    separator: separates several values in a variable of the environment.
    split: splits one text of any source into several values; None if it is always one.
    is_table: the values are pairs, which a file may have as a table, and a program as a dictionary.
    choices: the values that are offered, if there are few.
    to_text: one value as text that `parse` reads back.
    aliases: other names, accepted and not shown on the help page.
    variable: a variable of the environment that many programs read; every other source overrides it.
    is_secret: --print-config does not show the value.
    """

    parse: Parser
    summary: str
    group: str
    details: str = ""
    common: bool = False
    unit: str = ""
    zero_means: str = ""
    metavar: str = ""
    short: str = ""
    repeatable: bool = False
    separator: str = ","
    split: Callable[[str], list[str]] | None = None
    is_table: bool = False
    choices: tuple[str, ...] = ()
    to_text: Callable[[Any], str] = str
    aliases: tuple[Alias, ...] = ()
    variable: str = ""
    is_secret: bool = False

    def check(self, value: object) -> object:
        """Returns the value as the server uses it. Raises ValueError with the value and the fix."""
        if not self.repeatable:
            return self.parse(value)
        if self.is_table and isinstance(value, Mapping):
            value = [(name, one) for name, each in value.items() for one in (each if type(each) is list else [each])]
        values = value if isinstance(value, (list, tuple)) else [value]
        if self.split is not None:
            values = [part for each in values for part in (self.split(each) if isinstance(each, str) else [each])]
        return tuple(self.parse(each) for each in values)

    def texts(self, value: Any) -> list[str]:
        """Returns a checked value as text: each element of a repeatable one, an empty list for None."""
        if value is None:
            return []
        return [self.to_text(each) for each in (value if self.repeatable else [value])]


# A line of the help page has 80 columns, and a summary is indented by 6.
MAX_SUMMARY = 74


def field(
    default: Any,
    parse: Parser,
    group: str,
    summary: str,
    details: str = "",
    *,
    aliases: str | tuple[Alias, ...] = (),
    **more: Any,
) -> Any:
    """Declares a field of Settings. aliases: their names in one text, or the aliases themselves."""
    if isinstance(aliases, str):
        aliases = tuple(Alias(name) for name in aliases.split())
    setting = Setting(parse, summary, group, details, aliases=aliases, **more)
    return dataclasses.field(default=default, metadata={"setting": setting})


def path(default: str | tuple[str, ...], group: str, *sentences: str, **more: Any) -> Any:
    return field(default, more.pop("parse", values.path), group, *sentences, **more)


def texts(default: tuple[str, ...], group: str, *sentences: str, **more: Any) -> Any:
    return field(default, values.text, group, *sentences, repeatable=True, **more)


def flag(default: bool, group: str, *sentences: str, **more: Any) -> Any:
    return field(default, values.boolean, group, *sentences, to_text=values.boolean_to_text, **more)


def choice(default: str | None, group: str, *sentences: str, names: str, **more: Any) -> Any:
    choices = tuple(names.split())
    parse = more.pop("parse", values.choice(*choices))
    return field(default, parse, group, *sentences, choices=choices, metavar="|".join(choices), **more)


def count(default: int, group: str, *sentences: str, minimum: int = 0, maximum: int = 2**31 - 1, **more: Any) -> Any:
    return field(default, values.integer(minimum, maximum), group, *sentences, metavar="N", **more)


def size(default: int, group: str, *sentences: str, minimum: int = 0, maximum: int = 2**62, **more: Any) -> Any:
    more |= {"metavar": "SIZE", "to_text": values.size_to_text}
    return field(default, values.size(minimum, maximum), group, *sentences, **more)


def mebibytes(default: int, group: str, *sentences: str, **more: Any) -> Any:
    parse = values.integer(0, 1 << 30, "MiB, such as 512")
    return field(default, parse, group, *sentences, metavar="N", unit="MiB", **more)


def seconds(default: float, group: str, *sentences: str, zero_means: str = "no limit", **more: Any) -> Any:
    more |= {"metavar": "TIME", "to_text": values.seconds_to_text, "zero_means": zero_means}
    return field(default, values.seconds, group, *sentences, **more)
