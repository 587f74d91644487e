"""The class of all sub-commands that have options of their own, and the types of their values.

Their messages have the form of those of `ianus` itself: all unknown options of a line at once, each with advice, and
the parsers of the settings for values.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click

from ianus.errors import StartupError, closest_match
from ianus.settings.paged_command import PagedCommand
from ianus.settings.values import MIN_SIMILARITY, choice

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "token_normalize_func": lambda name: name.replace("_", "-"),
    # So that the error for an additional word can explain it.
    "allow_extra_args": True,
}


class ParsedValue(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A value that a function parses, which raises ValueError with the fix."""

    name = "value"

    def __init__(self, parse: Callable[[object], object]) -> None:
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class NamedChoice(click.Choice):  # type: ignore[type-arg, unused-ignore]
    """One of a few names."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return choice(*self.choices)(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class SubCommand(PagedCommand):
    """A sub-command of `ianus`. It prints a StartupError of its callback, and exits with its code.

    page: the page of the documents that explains its line. context_settings: further ones of click.
    """

    def __init__(self, name: str, *, page: str, context_settings: Mapping[str, Any] | None = None, **more: Any) -> None:
        super().__init__(name, page=page, context_settings=CONTEXT | dict(context_settings or {}), **more)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing and not ctx.ignore_unknown_options:
            self._check_options(ctx, args)
        try:
            rest = super().parse_args(ctx, args)
        except click.BadParameter as error:
            flag = f"{error.param.opts[0]}: " if isinstance(error.param, click.Option) else ""
            raise click.UsageError(f"{flag}{error.message}", ctx) from None
        if ctx.args:
            raise click.UsageError(f"Unexpected: {' '.join(ctx.args)}. `ianus help {self.name}` shows the line.", ctx)
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StartupError as error:
            click.echo(error.report(), err=True, nl=False)
            ctx.exit(error.exit_code)

    def _check_options(self, ctx: click.Context, args: Sequence[str]) -> None:
        """Raises UsageError with all options of a line that do not exist."""
        flags = {
            flag: not param.is_flag
            for param in self.get_params(ctx)
            if isinstance(param, click.Option)
            for flag in param.opts
        }
        problems = [f"No such option: {flag}. {self._advice(flag, flags)}" for flag in _unknown_flags(args, flags)]
        if len(problems) > 1:
            lines = "".join(f"\n  {problem}" for problem in problems)
            raise click.UsageError(f"This line has {len(problems)} problems.{lines}", ctx)
        for problem in problems:
            raise click.UsageError(problem, ctx)

    def _advice(self, flag: str, flags: Mapping[str, bool]) -> str:
        if f"-{flag}" in flags:
            return f"It has two dashes: -{flag}."
        # Without the dashes, which all of them share.
        near = closest_match(flag[2:], [each[2:] for each in flags if each.startswith("--")], MIN_SIMILARITY)
        if near:
            return f"Did you mean --{near}?"
        place = "It is an option of `ianus APP` alone. " if _is_of_serving(flag) else ""
        return f"{place}`ianus help {self.name}` lists the options."


def _unknown_flags(args: Sequence[str], flags: Mapping[str, bool]) -> Iterator[str]:
    """Yields the flags of a line that are not in `flags`, each with True if it takes a value."""
    words = iter(args)
    for word in words:
        if word == "--":
            return
        if word == "-" or not word.startswith("-"):
            continue
        name, equals, _ = word.partition("=")
        flag = name.replace("_", "-")
        if flag not in flags:
            if word[:2] not in flags:
                yield flag
        elif flags[flag] and not equals:
            next(words, None)


def _is_of_serving(flag: str) -> bool:
    from ianus.settings.schema import NAMES  # Late: only for an error.

    known = flag.removeprefix("--no-").removeprefix("--").replace("-", "_") in NAMES
    return known or any(each.setting.short == flag for each in NAMES.values())
