"""The help pages of `ianus`, and shell completion, built from the table of settings.

click is used because it has both, and words the errors of a line. A line that serves is parsed without it (line.py).
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from ianus.settings.foreign_options import flag_of
from ianus.settings.paged_command import PagedCommand
from ianus.settings.schema import CONFIGURATION, EXTRA_INPUTS, inputs, table
from ianus.settings.setting import Setting
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

# The columns of a line of the help pages, and of the sentence below an option.
HELP_COLUMNS = 80
SENTENCE_INDENT = 6

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": HELP_COLUMNS,
    "token_normalize_func": lambda name: name.replace("_", "-"),  # --limit-request-field_size
}


def build_pages(version: str, describe_tls: Callable[[], str] = str) -> click.Command:
    """Returns the command that shows the pages of `ianus`. describe_tls: returns the second line of --version."""
    return _Pages(
        "ianus",
        params=[
            click.Argument(["words"], metavar="[APP]", nargs=-1),
            *_options(),
            _version_option(version, describe_tls),
            _help_all_option(),
        ],
        help=HELP,
        context_settings=CONTEXT,
    )


class _Pages(PagedCommand):
    """A command with two help pages: the common options, and all options below the headings of their groups."""

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


# The key of click's Context.meta that selects the page with all options.
HELP_ALL = "ianus.settings.help_pages.help_all"


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

    notes: unit, default and the like. common: the short page shows it.
    """

    def __init__(
        self,
        *args: Any,
        group: str = CONFIGURATION,
        notes: str = "",
        common: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(*args, **more)
        self.group = group
        self.notes = notes
        self.common = common


class _SettingType(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """A value of a setting."""

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
            yield _option(alias.name, setting._replace(short=""), hidden=True)


def _option(name: str, setting: Setting, *, notes: str = "", hidden: bool = False) -> click.Option:
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
