"""The command line, built from the table of settings.

It collects the given values; they are checked together with those of the other sources (sources.py). The caller hands
in the functions that use them, so that `ianus --help` loads nothing of the server. click is used because it has help
pages, shell completion and suggestions for mistyped options; it exits with 2 if it cannot parse the line.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ianus.errors import ConflictError, SettingError, StartupError, closest_match
from ianus.settings.foreign_options import flag_of
from ianus.settings.layers import Given, near_name
from ianus.settings.line_words import read_line
from ianus.settings.paged_command import PagedCommand
from ianus.settings.schema import CONFIGURATION, EXTRA_INPUTS, NAMES, Settings, inputs, table
from ianus.settings.setting import Setting
from ianus.settings.sources import Configuration, Reader, read_sources
from ianus.settings.values import boolean_to_text

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

HELP = """Serve the application APP.

APP is MODULE:ATTRIBUTE, as in main:app; the attribute may be a path (main:site.app) or a call with literal arguments
(main:create_app("x")). MODULE may be a file (src/main.py:app). MODULE alone means its attribute `application` or,
failing that, `app`. Without APP, the application named in ianus.toml or in the variable IANUS_APP is served.
"""

EPILOG = (
    "`ianus --help-all` lists all options. Each can also be set in ianus.toml or as a variable, as in IANUS_WORKERS=4."
    " `ianus help` lists the sub-commands."
)

EPILOG_ALL = """Every option can also be a variable (--timeout-write 5 as IANUS_TIMEOUT_WRITE=5), or an entry in
ianus.toml or in [tool.ianus] of pyproject.toml (timeout-write = 5). Times take ms, s, m and h, sizes K, M and G.

Option names of other servers (--host, --port, --keep-alive, ...) are accepted; `ianus docs settings` lists
them. `ianus help` lists the sub-commands; `ianus completion bash` (zsh, fish) prints the script for shell completion.
"""

NO_APPLICATION = (
    'No application is given; name it, as in `ianus main:app`. It can also be named in ianus.toml (app = "main:app") or'
    " in the variable IANUS_APP. (ianus docs starting)"
)

# The columns of a line of the help pages, and of the sentence below an option.
HELP_COLUMNS = 80
SENTENCE_INDENT = 6

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": HELP_COLUMNS,
    "token_normalize_func": lambda name: name.replace("_", "-"),  # --limit-request-field_size
}

Serve = Callable[[str, Settings, Reader], int]


def build_command(
    serve: Serve,
    check: Serve,
    version: str,
    on_missing: Callable[[Settings], None] = lambda settings: None,
    describe_tls: Callable[[], str] = str,
) -> click.Command:
    """Returns the command `ianus`.

    It calls `serve` with APP, its settings and a reader of both, or `check` for --check-config. The returned number is
    the exit code. If there is no APP, it calls `on_missing`, which may raise a better error than its own. It prints
    the line of `describe_tls` for --version.
    """

    def run(words: tuple[str, ...], print_config: bool, check_config: bool, **given: Any) -> None:
        if problem := _explain_words(words):
            raise click.UsageError(problem)
        reader = Reader(partial(_collect, words, given))
        try:
            configuration = reader.read()
        except StartupError as error:
            _refuse(error)
        for warning in (*click.get_current_context().meta.get(WARNINGS, ()), *configuration.warnings):
            click.echo(f"Warning: {warning}", err=True)
        if print_config:
            from ianus.settings.toml_dump import dump_toml  # Late: only --print-config needs it.

            click.echo(dump_toml(configuration), nl=False)
            return
        if not configuration.app:
            on_missing(configuration.settings)
            raise click.UsageError(NO_APPLICATION)
        act = check if check_config else serve
        click.get_current_context().exit(act(configuration.app, configuration.settings, reader))

    return _Command(
        "ianus",
        # All words, so that the error for an additional word can explain it.
        params=[
            click.Argument(["words"], metavar="[APP]", nargs=-1),
            *_options(),
            _version_option(version, describe_tls),
            _help_all_option(),
        ],
        callback=run,
        help=HELP,
        context_settings=CONTEXT,
    )


def _collect(words: tuple[str, ...], given: Mapping[str, Any]) -> Configuration:
    """Reads the line and all other sources. Raises StartupError."""
    line = [Given("app", word, "APP", "command line") for word in words]
    for name, value in given.items():
        label = flag_of(name)
        if value is not None and value != ():
            line.append(Given(name, value, label, f"command line {label}"))
    return read_sources(line, parse_arguments=_parse_gunicorn_arguments)


def _parse_gunicorn_arguments(text: str) -> tuple[list[Given], list[str]]:
    """Parses GUNICORN_CMD_ARGS, and ignores words that are not options, as gunicorn does. Raises SettingError."""
    if not text:
        return [], []
    from ianus.settings.gunicorn_arguments import GUNICORN_VARIABLE, split_arguments

    params = [click.Argument(["words"], nargs=-1), *_options()]
    command = _Command("ianus", takes_application=False, params=params, context_settings=CONTEXT)
    try:
        context = command.make_context(GUNICORN_VARIABLE, split_arguments(text))
    except click.UsageError as error:
        raise SettingError(
            GUNICORN_VARIABLE, error.format_message().removesuffix(f"(ianus docs {command.page})").rstrip()
        ) from None
    given = [
        Given(name, value, f"{GUNICORN_VARIABLE} {flag_of(name)}", f"environment {GUNICORN_VARIABLE} {flag_of(name)}")
        for name, value in context.params.items()
        if name not in ("words", "print_config", "check_config") and value is not None and value != ()
    ]
    return given, [f"{GUNICORN_VARIABLE}: {warning}" for warning in context.meta.get(WARNINGS, ())]


def _refuse(error: StartupError) -> NoReturn:
    """Prints the error, with the usage if the error is on the command line, and exits."""
    # A conflict of settings has a message of its own: each of them is understood.
    if isinstance(error, SettingError) and error.setting.startswith("--") and not isinstance(error, ConflictError):
        raise click.UsageError(error.explain()) from None
    click.echo(error.report(), err=True, nl=False)
    click.get_current_context().exit(error.exit_code)


# --- Words ---

# Patterns of words that belong to an option.
_MISPLACED = {
    "--port": r"[0-9]+",
    "--host": r"localhost|[0-9]+(?:\.[0-9]+){3}",
    "--bind": r"(?:[\w.-]*|\*|\[.*\]):[0-9]+|unix:.*/.*|fd://.*",
}


_OTHER_SERVERS = ("gunicorn", "uvicorn", "granian", "hypercorn", "daphne", "waitress-serve", "uwsgi")


def _explain_file(path: str) -> str:
    """Returns the sentence with the line that uses a file of settings."""
    if path.endswith(".toml"):
        return f"Write -c {path} to read it."
    return f"`ianus migrate {path}` prints the ianus.toml for it."


def _explain_words(words: tuple[str, ...]) -> str:
    """Returns the problem with the words that are not options; "" if there is none."""
    for word in words:
        for flag, pattern in _MISPLACED.items():
            if re.fullmatch(pattern, word):
                return f"{word!r} does not name an application; write {flag} {word} to listen there."
        # A file may be called with arguments: /srv/main.py:create_app(debug=True).
        if re.fullmatch(r"/[^=(]*=.+", word):
            return f"{word!r} does not name an application for /; write --mount {word} to add another application."
        if word == "-":
            return "'-' is not an application; remove it."
        if word.lower() in ("true", "false", "on", "off", "yes", "no"):
            return f"{word!r} is not an application; switches take no value. Turn one off as in --no-access-log."
        if word.endswith((".ini", ".json", ".toml")) and os.path.isfile(word):  # noqa: PTH113  (pathlib takes 5 ms to import)
            return f"{word!r} is a file of settings. {_explain_file(word)}"
    if len(words) > 1 and words[0] in _OTHER_SERVERS:
        return (
            f"{words[0]} is another server; write `ianus {words[1]}`, or `ianus migrate` before the whole line for the"
            " equivalent ianus.toml."
        )
    if len(words) > 1 and words[0] in ("run", "serve", "start", "start-server"):
        return f"The sub-command {words[0]!r} does not exist; write `ianus {words[1]}`."
    if len(words) > 1:
        return (
            f"Only one application can be served at /, but {len(words)} are given: {' '.join(words)}."
            f" Serve another one below a path, as in --mount /path={words[1]}."
        )
    return ""


# --- Help pages ---


class _Command(PagedCommand):
    """A command with two help pages: the common options, and all options below the headings of their groups.

    takes_application: words that are not options are the application; otherwise they are ignored.
    """

    def __init__(self, *args: Any, takes_application: bool = True, **more: Any) -> None:
        super().__init__(*args, **more)
        self._takes_application = takes_application

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:  # completion of a line that is not complete
            return super().parse_args(ctx, args)
        flags = {
            flag: not param.is_flag
            for param in self.get_params(ctx)
            if isinstance(param, click.Option)
            for flag in (*param.opts, *param.secondary_opts)
        }
        line = read_line(
            args,
            flags,
            lambda flag, value: _suggest(flag, value, flags),
            has_application=not self._takes_application,
        )
        if line.problems:
            if self._takes_application and (problem := _explain_words(tuple(line.applications))):
                line.problems.append(problem)
            message = "".join(f"\n  {problem}" for problem in line.problems)
            raise click.UsageError(
                line.problems[0]
                if len(line.problems) == 1
                else f"This line has {len(line.problems)} problems.{message}",
                ctx,
            )
        rest = super().parse_args(ctx, line.words)
        ctx.meta[WARNINGS] = [*line.warnings, *self._take_last(ctx)]
        return rest

    def _take_last(self, ctx: click.Context) -> Iterator[str]:
        """Keeps the last value of the options that have one in other servers. Yields a warning for each."""
        for param in self.get_params(ctx):
            if not isinstance(param, _Option) or not (param.is_single or self._is_single_in_gunicorn(param)):
                continue
            values = ctx.params[str(param.name)]
            if len(values) > 1:
                ctx.params[str(param.name)] = values[-1:]
                own = flag_of(NAMES[str(param.name)].input)
                advice = f"; repeat {own} for several" if own != param.opts[0] else ""
                yield f"{param.opts[0]} is repeated, and the last one counts, as in other servers{advice}."

    def _is_single_in_gunicorn(self, option: click.Option) -> bool:
        """Returns whether an option of GUNICORN_CMD_ARGS has one value there. The others are aliases."""
        return not self._takes_application and option.name == "pythonpath"

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        shows_all = HELP_ALL in ctx.meta
        sections: dict[str, list[click.Option]] = {}
        for param in self.get_params(ctx):
            if isinstance(param, click.Option) and not param.hidden:
                group = param.group if isinstance(param, _Option) else CONFIGURATION
                if shows_all:
                    sections.setdefault(group, []).append(param)
                elif not isinstance(param, _Option) or param.common:
                    sections.setdefault("Options", []).append(param)
        for title, options in sections.items():
            with formatter.section(title):
                formatter.write("".join(_help_lines(option, ctx) for option in options))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        self.epilog = EPILOG_ALL if HELP_ALL in ctx.meta else EPILOG
        super().format_epilog(ctx, formatter)


# The keys of click's Context.meta: one that selects the page with all options, and the warnings about options.
HELP_ALL = "ianus.settings.cli.help_all"
WARNINGS = "ianus.settings.cli.warnings"


def _suggest(flag: str, value: str | None, flags: Mapping[str, bool]) -> str:
    """Returns the flag of which `flag` may be a misspelling, if the value fits; "" if none is similar."""
    if value is None:
        switches = [each for each, takes_value in flags.items() if not takes_value]
        return closest_match(flag, switches, 0.75) or closest_match(flag, flags, 0.85)
    near = near_name(flag[2:].replace("-", "_"), value, NAMES)
    return flag_of(near) if near and flags.get(flag_of(near)) else ""


def _help_lines(option: click.Option, ctx: click.Context) -> str:
    """Formats an option as two lines: its flags with notes, and its sentence."""
    record = option.get_help_record(ctx)
    assert record is not None
    flags, sentence = record
    notes = option.notes if isinstance(option, _Option) else ""
    return f"  {flags}{f'  [{notes}]' if notes else ''}\n{'':{SENTENCE_INDENT}}{sentence}\n"


# --- Options ---


class _Option(click.Option):
    """An option of the help pages.

    notes: unit, default and the like. common: the short page shows it. is_single: as in Alias.
    """

    def __init__(
        self,
        *args: Any,
        group: str = CONFIGURATION,
        notes: str = "",
        common: bool = False,
        is_single: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(*args, **more)
        self.is_single = is_single
        self.group = group
        self.notes = notes
        self.common = common


class _SettingType(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A value as given on the line; it is checked later."""

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
        yield _option(name, setting, notes=_notes(setting, default))
    for name, setting in EXTRA_INPUTS.items():
        if name != "app":
            yield _option(name, setting, notes=_notes(setting, None), hidden=setting.group != CONFIGURATION)
    yield _Option(
        ["--print-config"], is_flag=True, help="Print every setting with its source, as for ianus.toml; then exit."
    )
    yield _Option(
        ["--check-config"], is_flag=True, common=True, help="Check all settings and load the application; then exit."
    )
    for _, setting in inputs():
        for alias in setting.aliases:
            yield _option(alias.name, setting._replace(short=""), hidden=True, is_single=alias.is_single)


def _option(
    name: str, setting: Setting, *, notes: str = "", hidden: bool = False, is_single: bool = False
) -> click.Option:
    flag = flag_of(name)
    is_switch = setting.to_text is boolean_to_text
    return _Option(
        [*([setting.short] if setting.short else []), f"{flag}/--no-{flag[2:]}" if is_switch else flag, name],
        type=None if is_switch else _SettingType(setting),
        is_flag=is_switch,
        default=None,
        multiple=setting.repeatable,
        metavar=setting.metavar or None,
        help=setting.summary,
        hidden=hidden,
        group=setting.group,
        notes=notes,
        common=setting.common,
        is_single=is_single,
    )


def _notes(setting: Setting, default: Any) -> str:
    """Returns the notes beside an option's flags: repeatable, unit, meaning of 0, default."""
    text = ", ".join(setting.texts(default))
    if isinstance(default, bool):
        text = "on" if default else ""
    if default == 0 and setting.zero_means:
        text = f"0, {setting.zero_means}"
    zero = f"0: {setting.zero_means}" if default and setting.zero_means else ""
    repeatable = "repeatable" if setting.repeatable else ""
    return "; ".join(filter(None, [repeatable, setting.unit, zero, f"default: {text}" if text else ""]))


def _page_option(flag: str, sentence: str, show: Callable[[click.Context], None]) -> click.Option:
    """Returns a flag that shows something in place of serving, and exits."""

    def callback(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            show(ctx)
            ctx.exit()

    return click.Option(flag.split(), is_flag=True, expose_value=False, is_eager=True, callback=callback, help=sentence)


def _help_all_option() -> click.Option:
    def show(ctx: click.Context) -> None:
        ctx.meta[HELP_ALL] = True
        click.echo(ctx.get_help())

    return _page_option("--help-all", "Show all options and exit.", show)


def _version_option(version: str, describe_tls: Callable[[], str]) -> click.Option:
    def show(ctx: click.Context) -> None:
        click.echo(format_version(version, describe_tls()))

    return _page_option("-v --version", "Show the version and exit.", show)


def format_version(version: str, tls: str) -> str:
    """Returns the lines of --version. tls: the second one, or ""."""
    import platform  # Late: it is expensive to import.

    first = f"ianus {version} ({platform.python_implementation()} {platform.python_version()})"
    return f"{first}\n{tls}" if tls else first
