"""`ianus completion SHELL` prints the script for shell completion."""

import click

from ianus.settings.paged_command import PagedCommand


def build_command() -> click.Command:
    def run(shell: str) -> None:
        from click.shell_completion import get_completion_class

        kind = get_completion_class(shell)
        assert kind is not None
        click.echo(kind(click.Command("ianus"), {}, "ianus", "_IANUS_COMPLETE").source())

    return PagedCommand(
        "completion",
        page="starting",
        params=[click.Argument(["shell"], type=click.Choice(["bash", "zsh", "fish"]))],
        callback=run,
        help="Print the script that makes a shell complete the lines of `ianus`, as in"
        ' `eval "$(ianus completion bash)"`.',
        context_settings={"help_option_names": ["-h", "--help"]},
    )
