"""`ianus help` shows the options and the sub-commands, `ianus help NAME` the help of a sub-command."""

import click

from ianus.commands import SUBCOMMANDS, build_subcommand
from ianus.commands.serving import build_pages
from ianus.commands.subcommand import NamedChoice, SubCommand


def build_command() -> click.Command:
    @click.pass_context
    def run(context: click.Context, subcommand: str | None) -> None:
        program = str(context.info_name).removesuffix(" help")
        if subcommand is not None:
            click.echo(_help(build_subcommand(subcommand), f"{program} {subcommand}"))
            return
        click.echo(_help(build_pages(), program))
        formatter = click.HelpFormatter()
        with formatter.section("\nSub-commands"):
            formatter.write_dl(list(SUBCOMMANDS.items()))
        click.echo(formatter.getvalue(), nl=False)

    return SubCommand(
        "help",
        page="starting",
        params=[
            click.Argument(["subcommand"], metavar="[SUB-COMMAND]", type=NamedChoice(list(SUBCOMMANDS)), required=False)
        ],
        callback=run,
        help="Show the options of `ianus`, or the help of a sub-command.",
    )


def _help(command: click.Command, program: str) -> str:
    with click.Context(command, info_name=program, **command.context_settings) as context:
        return command.get_help(context)
