"""`ianus completion SHELL` prints the script for shell completion."""

import click

from ianus.commands.subcommand import NamedChoice, SubCommand

SHELLS = ("bash", "zsh", "fish")


def build_command() -> click.Command:
    def run(shell: str | None) -> None:
        if shell is None:
            raise click.UsageError(f"No shell is given; name one of {', '.join(SHELLS)}.")
        from click.shell_completion import get_completion_class

        kind = get_completion_class(shell)
        assert kind is not None
        click.echo(kind(click.Command("ianus"), {}, "ianus", "_IANUS_COMPLETE").source())

    return SubCommand(
        "completion",
        page="starting",
        params=[click.Argument(["shell"], metavar="SHELL", type=NamedChoice(SHELLS), required=False)],
        callback=run,
        help="Print the script that makes SHELL (bash, zsh, fish) complete the lines of `ianus`, as in"
        ' `eval "$(ianus completion bash)"`.',
    )
