"""Runs command lines in this process."""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

import click
from click.testing import CliRunner, Result

from ianus.settings.cli import ServingCommand
from ianus.settings.help_pages import build_pages
from ianus.settings.schema import Settings
from ianus.settings.sources import Reader

Serve = Callable[[str, Settings, Reader], int]


class Runnable(ServingCommand):
    """A command that click's runner runs."""

    name = "ianus"

    def main(self, args: Sequence[str], prog_name: str, **options: Any) -> NoReturn:
        super().main(args, prog_name)


def pages() -> click.Command:
    """Returns the command that shows the help pages and completes lines."""
    return build_pages("1.2.3")


def run_line(line: Sequence[str], serve: Serve, check: Serve | None = None) -> Result:
    """Runs `ianus` with the words of `line`. check: called for --check-config, serve if there is none."""
    return CliRunner().invoke(cast(click.Command, Runnable(serve, check or serve, pages)), line)
