"""The values of a command line.

click has the same options for help pages and completion (help_pages.py). It parses no line that serves: to import it
and to make its 230 options would take a tenth of each start.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ianus.errors import closest_match
from ianus.settings.foreign_options import flag_of
from ianus.settings.layers import near_name
from ianus.settings.line_words import read_line
from ianus.settings.schema import NAMES, inputs
from ianus.settings.setting import Alias
from ianus.settings.values import boolean_to_text

# Options that show something and exit, and options that do something else than serve.
PAGES = ("-h", "--help", "--help-all", "-v", "--version")
ACTIONS = ("print_config", "check_config")


class Line(NamedTuple):
    """A line.

    given: the values by the names of inputs or their aliases; a tuple if the option may be repeated.
    applications: the words that are not options.
    page: the first one of PAGES that is given, or "".
    warnings, problems: as in LineWords.
    """

    given: dict[str, Any]
    applications: tuple[str, ...]
    page: str
    warnings: list[str]
    problems: list[str]


class _Known(NamedTuple):
    """The meaning of a flag.

    name: of an input, an alias or an action. switch: its value; None: it takes one. is_single: as in Alias.
    """

    name: str
    switch: bool | None = None
    is_repeatable: bool = False
    is_single: bool = False


def parse_line(words: Sequence[str]) -> Line:
    """Parses the words after the name of the command."""
    return _parse(words, _known_flags() | dict.fromkeys(PAGES, _Known("", True)), has_application=False)


def parse_arguments(words: Sequence[str]) -> Line:
    """Parses the words of GUNICORN_CMD_ARGS. The application is on the command line."""
    # As in gunicorn, the last one counts.
    flags = _known_flags()
    return _parse(words, flags | {"--pythonpath": flags["--pythonpath"]._replace(is_single=True)}, has_application=True)


def _parse(words: Sequence[str], flags: Mapping[str, _Known], *, has_application: bool) -> Line:
    takes_value = {flag: known.switch is None for flag, known in flags.items()}
    read = read_line(
        words,
        takes_value,
        lambda flag, value: _suggest(flag, value, takes_value),
        has_application=has_application,
    )
    given: dict[str, Any] = {}
    pages = [option.flag for option in read.options if option.flag in PAGES]
    for flag, value in read.options:
        known = flags[flag]
        if known.is_repeatable:
            given[known.name] = (*given.get(known.name, ()), value)
        elif flag not in PAGES:
            given[known.name] = value if known.switch is None else known.switch
    warnings = [*read.warnings, *(_keep_last(given, flag, known) for flag, known in flags.items())]
    return Line(given, tuple(read.applications), pages[0] if pages else "", [*filter(None, warnings)], read.problems)


def _keep_last(given: dict[str, Any], flag: str, known: _Known) -> str:
    """Keeps the last value of an option that has one in other servers. Returns a warning if it has several, else ""."""
    if not known.is_single or len(given.get(known.name, ())) < 2:
        return ""
    given[known.name] = given[known.name][-1:]
    own = flag_of(NAMES[known.name].input)
    advice = f"; repeat {own} for several" if own != flag else ""
    return f"{flag} is repeated, and the last one counts, as in other servers{advice}."


@functools.cache
def _known_flags() -> dict[str, _Known]:
    """Returns all flags of settings and actions."""
    flags = {flag_of(name): _Known(name, True) for name in ACTIONS}
    for name, setting in inputs():
        if name == "app":
            continue
        is_switch = setting.to_text is boolean_to_text
        for alias in (Alias(name), *setting.aliases):
            flag = flag_of(alias.name)
            flags[flag] = _Known(alias.name, True if is_switch else None, setting.repeatable, alias.is_single)
            if is_switch:
                flags[f"--no-{flag[2:]}"] = _Known(alias.name, False)
        if setting.short:
            flags[setting.short] = flags[flag_of(name)]
    return flags


def _suggest(flag: str, value: str | None, flags: Mapping[str, bool]) -> str:
    """Returns the flag of which `flag` may be a misspelling, if the value fits; "" if none is similar.

    flags: each with whether it takes a value.
    """
    if value is None:
        switches = [each for each, takes_value in flags.items() if not takes_value]
        return closest_match(flag, switches, 0.75) or closest_match(flag, flags, 0.85)
    near = near_name(flag[2:].replace("-", "_"), value, NAMES)
    return flag_of(near) if near and flags.get(flag_of(near)) else ""
