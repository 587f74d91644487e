"""`ianus dev [APP] [OPTIONS]` serves an application for its developer."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec

import click

from ianus.commands.serving import build_serving_command, explain_missing
from ianus.settings.schema import Settings

HELP = """Serve APP for development.

The same as `ianus APP --reload --log-level debug --workers 1`, and all options of `ianus` are accepted; they take
precedence. Without APP, the application named in ianus.toml is served, or else the first one that is found in the
folder. Levels of the log have colours on a terminal.
"""


class _DevCommand(click.Command):
    """Passes its line on as it is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args[:1] in (["-h"], ["--help"]):
            return super().parse_args(ctx, args)
        ctx.args = list(args)
        return []


def build_command() -> click.Command:
    @click.pass_context
    def run(context: click.Context) -> None:
        program = str(context.info_name).removesuffix(" dev")
        line = [*_defaults(), *context.args]

        def serve_found(settings: Settings) -> None:
            from ianus.gateway.loading.discovery import find_applications

            found = find_applications(settings.app_dir)
            if not found:
                explain_missing(settings)
                return
            first = found[0]
            click.echo(f"Serving {first.app}: {first.found}.", err=True)
            place = ["--app-dir", first.app_dir] if first.app_dir else []
            build_serving_command().main([*line, first.app, *place], program)

        build_serving_command(serve_found).main(line, program)

    return _DevCommand(
        "dev",
        params=[click.Argument(["app"], required=False), click.Argument(["options"], metavar="[OPTIONS]", nargs=-1)],
        callback=run,
        help=HELP,
        options_metavar="",
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def _defaults() -> Sequence[str]:
    """Returns the options of development, before those of the line."""
    options = ["--log-level", "debug", "--workers", "1"]
    if find_spec("watchfiles") is None:
        click.echo(
            "Warning: files are not watched without watchfiles; install it for"
            f" {sys.executable} (pip install watchfiles).",
            err=True,
        )
        return options
    return ["--reload", *options]
