"""The command line, built from the table of settings.

It parses and checks, no more: what is to be done with the result is handed in, so that `ianus --help` loads
nothing of the server. click, because its help pages, shell completion (`_IANUS_COMPLETE=bash_source ianus`)
and suggestions for mistyped options come ready-made; it exits with 2 where it cannot understand the line.
"""

from collections.abc import Callable
from typing import Any

import click

from ianus.errors import SettingError
from ianus.settings.schema import Setting, Settings, table

HELP = """Serve the application APP.

APP is MODULE:ATTRIBUTE, as in main:app; the attribute may be a path (main:site.app) or a call
(main:create_app()). MODULE alone means its attribute `application` or, failing that, `app`.
"""

# What people know from other servers, by another name or not at all.
ELSEWHERE = {
    "--host": "The address is given with --bind HOST:PORT, as in --bind 0.0.0.0:8000.",
    "--port": "The address is given with --bind HOST:PORT, as in --bind 127.0.0.1:8080.",
    "--uds": "A Unix socket is given with --bind unix:PATH.",
    "--fd": "An inherited file descriptor is given with --bind fd://N.",
}


def build_command(serve: Callable[[str, Settings], int], version: str) -> click.Command:
    """The command `ianus`. It calls `serve` with APP and its settings, and exits with what that returns."""

    def run(app: str, **given: Any) -> None:
        # A setting that was not given stays out, so that whoever merges several sources can tell.
        values = {name: value for name, value in given.items() if value is not None and value != ()}
        try:
            settings = Settings.from_values(values)
        except SettingError as error:  # What only several values together show; single ones were checked by _Kind.
            raise click.UsageError(error.message) from None
        click.get_current_context().exit(serve(app, settings))

    options = [_option(name, setting, default) for name, setting, default in table()]
    return _Command(
        "ianus",
        params=[
            click.Argument(["app"], metavar="APP"),
            *(option for _, option in options),
            _version_option(version),
        ],
        callback=run,
        help=HELP,
        groups={option.name or "": group for group, option in options},
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )


class _Command(click.Command):
    """A command whose help page shows its options under their groups' headings."""

    def __init__(self, *args: Any, groups: dict[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.groups = groups

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            hint = ELSEWHERE.get(error.option_name)
            if hint is None:
                raise
            raise click.UsageError(f"No such option: {error.option_name}. {hint}", ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                sections.setdefault(self.groups.get(param.name or "", "Other"), []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


class _Kind(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """One value of a setting."""

    def __init__(self, setting: Setting) -> None:
        self.name = setting.metavar or "value"
        self.setting = setting

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self.setting.kind(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _option(name: str, setting: Setting, default: Any) -> tuple[str, click.Option]:
    flag = "--" + name.replace("_", "-")
    unit = "" if setting.unit.upper() == setting.metavar else setting.unit
    notes = [unit, f"0: {setting.zero}" if setting.zero else "", _default_note(setting, default)]
    shown = "; ".join(note for note in notes if note)
    described = f"{setting.summary}  [{shown}]" if shown else setting.summary
    kind: Any = _Kind(setting)
    if isinstance(default, bool):
        # A switch that is off by default needs no way to say so.
        flag, kind = f"{flag}/--no-{flag.removeprefix('--')}" if default else flag, None
    elif setting.choices:
        kind = click.Choice(setting.choices)
    option = click.Option(
        [*([setting.short] if setting.short else []), flag, name],
        type=kind,
        is_flag=isinstance(default, bool),
        default=None,
        multiple=setting.many,
        metavar=setting.metavar or None,
        help=described,
    )
    return setting.group, option


def _default_note(setting: Setting, default: Any) -> str:
    if default in (None, "", ()) or default is False:
        return ""
    if default is True:
        return "default: on"
    shown = ", ".join(str(each) for each in default) if setting.many else default
    return f"default: {shown:g}" if isinstance(shown, float) else f"default: {shown}"


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
