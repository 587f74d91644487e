"""The command line, built from the table of settings.

It collects what was said, no more: the values are checked with those of the other sources (sources.py), and what
is to be done with them is handed in, so that `ianus --help` loads nothing of the server. click, because its help
pages, shell completion and suggestions for mistyped options come ready-made; it exits with 2 where it cannot
understand the line.
"""
# ruff: noqa: PTH113  (pathlib takes 5 ms to import)

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ianus.errors import SettingError, StartupError
from ianus.settings.foreign_options import HINTS, IGNORED_BY_NAME, IgnoredOption
from ianus.settings.layers import Given
from ianus.settings.schema import EXTRA_INPUTS, SOURCES, Settings, inputs, table
from ianus.settings.setting import Setting
from ianus.settings.sources import Configuration, Reader, read_sources
from ianus.settings.values import boolean_to_text

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

HELP = """Serve the application APP.

APP is MODULE:ATTRIBUTE, as in main:app; the attribute may be a path (main:site.app) or a call
(main:create_app()). MODULE alone means its attribute `application` or, failing that, `app`. Without APP the
application is the one that ianus.toml or the variable IANUS_APP names.
"""

EPILOG = """Every option can be given as a variable too (--timeout-write 5 as IANUS_TIMEOUT_WRITE=5), in ianus.toml or
in [tool.ianus] of pyproject.toml (timeout-write = 5). Times take ms, s, m and h, sizes K, M and G.

Names that other servers have for them (--host, --port, --keep-alive, ...) are understood; docs/settings.md lists
them. `ianus completion bash` (zsh, fish) prints what makes the shell complete such lines.
"""

Serve = Callable[[str, Settings, Reader], int]


def build_command(serve: Serve, check: Serve, version: str) -> click.Command:
    """The command `ianus`.

    It calls `serve` with APP, its settings and what can read both again, or `check` for --check-config, and exits
    with what that returns.
    """

    def run(words: tuple[str, ...], print_config: bool, check_config: bool, **given: Any) -> None:
        if problem := _explain_words(words):
            raise click.UsageError(problem)
        reader = Reader(partial(_collect, words, given))
        try:
            configuration = reader.read()
        except StartupError as error:
            _refuse(error)
        for warning in configuration.warnings:
            click.echo(f"Warning: {warning}", err=True)
        if print_config:
            from ianus.settings.toml_dump import dump_toml  # For this answer only.

            click.echo(dump_toml(configuration), nl=False)
            return
        if not configuration.app:
            raise click.UsageError(_explain_no_application())
        act = check if check_config else serve
        click.get_current_context().exit(act(configuration.app, configuration.settings, reader))

    return _Command(
        "ianus",
        # All words, so that we have the say about what one too many may mean.
        params=[click.Argument(["words"], metavar="[APP]", nargs=-1), *_options(), _version_option(version)],
        callback=run,
        help=HELP,
        epilog=EPILOG,
        context_settings={
            "help_option_names": ["-h", "--help"],
            "max_content_width": 110,
            "token_normalize_func": lambda name: name.replace("_", "-"),  # --limit-request-field_size
        },
    )


def _collect(words: tuple[str, ...], given: Mapping[str, Any]) -> Configuration:
    """What the line and all other sources say. Raises StartupError."""
    ignored, line = [], [Given("app", word, "APP", "command line") for word in words]
    for name, value in given.items():
        label = "--" + name.replace("_", "-")
        if value is None or value == ():
            continue
        if name in IGNORED_BY_NAME:
            ignored.append(_ignore(IGNORED_BY_NAME[name], label, value))
        else:
            line.append(Given(name, value, label, f"command line {label}"))
    configuration = read_sources(line)
    return configuration._replace(warnings=(*ignored, *configuration.warnings))


def _refuse(error: StartupError) -> NoReturn:
    """Reports it, with the line's usage where that is concerned."""
    if isinstance(error, SettingError) and error.setting.startswith("--"):
        raise click.UsageError(error.message) from None
    click.echo(error.report(), err=True, nl=False)
    click.get_current_context().exit(error.exit_code)


# --- Words ---

# What words look like that belong to an option.
_MISPLACED = {
    "--port": r"[0-9]+",
    "--host": r"localhost|[0-9]+(?:\.[0-9]+){3}",
    "--bind": r"(?:[\w.-]*|\*|\[.*\]):[0-9]+|unix:.*/.*|fd://.*",
}


def _explain_words(words: tuple[str, ...]) -> str:
    """What is wrong with the words that are no options; "" where nothing is."""
    for word in words:
        for flag, pattern in _MISPLACED.items():
            if re.fullmatch(pattern, word):
                return f"{word!r} does not name an application; where to listen is said with {flag} {word}."
        if re.fullmatch(r"/[^=]*=.+", word):
            return f"{word!r} does not name an application for /; another one beside it is said with --mount {word}."
        if word.lower() in ("true", "false", "on", "off", "yes", "no"):
            return f"{word!r} is no application; switches have no value, they are turned off as in --no-access-log."
    if len(words) > 1 and words[0] in ("run", "serve", "start", "dev"):
        return f"There is no sub-command {words[0]!r}; write `ianus {words[1]}`."
    if len(words) > 1:
        return (
            f"One application can be served at /, and these are {len(words)}: {' '.join(words)}."
            f" Another one gets a path, as in --mount /path={words[1]}."
        )
    return ""


def _explain_no_application() -> str:
    message = "There is no application to serve; name it, as in `ianus main:app`."
    for module in ("main", "app", "wsgi", "asgi"):
        if os.path.isfile(f"{module}.py"):
            return f"{message} There is a {module}.py here: `ianus {module}` serves its `application` or `app`."
    return f'{message} It can also stand in ianus.toml (app = "main:app") or in the variable IANUS_APP.'


# --- Sub-commands ---


def _completion() -> click.Command:
    def run(shell: str) -> None:
        from click.shell_completion import get_completion_class

        kind = get_completion_class(shell)
        assert kind is not None
        click.echo(kind(click.Command("ianus"), {}, "ianus", "_IANUS_COMPLETE").source())

    return click.Command(
        "completion",
        params=[click.Argument(["shell"], type=click.Choice(["bash", "zsh", "fish"]))],
        callback=run,
        help="Print the script that makes a shell complete the lines of `ianus`, as in"
        ' `eval "$(ianus completion bash)"`.',
        context_settings={"help_option_names": ["-h", "--help"]},
    )


SUBCOMMANDS: dict[str, Callable[[], click.Command]] = {"completion": _completion}


def subcommand(line: Sequence[str]) -> click.Command | None:
    """The sub-command that a line asks for.

    That is so if it begins with its exact name and an argument follows; else it is an application that has the
    name of one: `completion`, `completion:app`, `completion --reload`.
    """
    if len(line) > 1 and line[0] in SUBCOMMANDS and not line[1].startswith("-"):
        return SUBCOMMANDS[line[0]]()
    return None


class _Command(click.Command):
    """A command whose help page shows its options under their groups' headings."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        flags = {flag for param in self.params for flag in param.opts if flag.startswith("--")}
        for word in args:
            # To click, -workers is -w with the value "orkers".
            if f"-{word}" in flags:
                raise click.UsageError(f"No such option: {word}. It has two dashes: -{word}.", ctx)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            hint = HINTS.get(error.option_name)
            if hint is None:
                # The nearest alone: others may be names that the help page does not show.
                raise click.NoSuchOption(
                    error.option_name, possibilities=list(error.possibilities or ())[:1], ctx=ctx
                ) from None
            raise click.UsageError(f"No such option: {error.option_name}. {hint}", ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                group = param.group if isinstance(param, _Option) else SOURCES
                sections.setdefault(group, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


# --- Options ---


class _Option(click.Option):
    """An option under a heading."""

    def __init__(self, *args: Any, group: str = SOURCES, **more: Any) -> None:
        super().__init__(*args, **more)
        self.group = group


class _SettingType(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A value as it stands on the line; whether it is a good one is seen later."""

    name = "value"

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        kind = {"FILE": "file", "DIR": "dir"}.get(self.setting.metavar)
        if kind is not None:
            return [CompletionItem(incomplete, type=kind)]
        return [CompletionItem(choice) for choice in self.setting.choices if choice.startswith(incomplete)]


def _options() -> Iterator[click.Option]:
    for name, setting, default in table():
        yield _option(name, setting, _describe(setting, default))
    for name, setting in EXTRA_INPUTS.items():
        if name != "app":
            yield _option(name, setting, setting.summary, hidden=setting.group != SOURCES)
    yield _Option(
        ["--print-config"],
        is_flag=True,
        help="Print every setting, as for ianus.toml, and where it came from; then exit.",
    )
    yield _Option(["--check-config"], is_flag=True, help="Check all settings, load the application; then exit.")
    for _, setting in inputs():
        for alias in setting.aliases:
            yield _option(alias.name, setting._replace(short=""), "", hidden=True)
    for name, option in IGNORED_BY_NAME.items():
        short = [flag for flag in option.flags.split() if not flag.startswith("--")]
        yield click.Option(
            [*short, f"--{name.replace('_', '-')}", name], is_flag=option.values is None, hidden=True, default=None
        )


def _option(name: str, setting: Setting, described: str, *, hidden: bool = False) -> click.Option:
    flag = "--" + name.replace("_", "-")
    is_switch = setting.to_text is boolean_to_text
    return _Option(
        [*([setting.short] if setting.short else []), f"{flag}/--no-{flag[2:]}" if is_switch else flag, name],
        type=None if is_switch else _SettingType(setting),
        is_flag=is_switch,
        default=None,
        multiple=setting.repeatable,
        metavar=setting.metavar or None,
        help=described,
        hidden=hidden,
        group=setting.group,
    )


def _describe(setting: Setting, default: Any) -> str:
    shown = ", ".join(setting.texts(default))
    if isinstance(default, bool):
        shown = "on" if default else ""
    if default == 0 and setting.zero_means:
        shown = f"0, {setting.zero_means}"
    zero = f"0: {setting.zero_means}" if default and setting.zero_means else ""
    notes = [setting.unit, zero, f"default: {shown}" if shown else ""]
    shown = "; ".join(note for note in notes if note)
    return f"{setting.summary}  [{shown}]" if shown else setting.summary


def _version_option(version: str) -> click.Option:
    def show(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            import platform  # Dear, and for this answer only.

            click.echo(f"ianus {version} ({platform.python_implementation()} {platform.python_version()})")
            ctx.exit()

    return click.Option(
        ["--version"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=show,
        help="Show the version and exit.",
    )


# --- Options that change nothing ---


def _ignore(option: IgnoredOption, label: str, value: str) -> str:
    """The warning that this changes nothing."""
    if option.values is None:
        return f"{label} changes nothing: {option.reason}."
    if option.values and value not in option.values:
        hints = (hint.format(value) for pattern, hint in option.remedies if re.fullmatch(pattern, value))
        raise click.UsageError(f"{label} {value} cannot be had: {next(hints, option.reason)}.")
    return f"{label} {value} changes nothing: {option.reason}."
