"""Runs command lines by one command: it takes as long to build it as to run a line."""

import functools
from collections.abc import Callable, Sequence

import click
from click.testing import CliRunner, Result

from ianus.settings.cli import build_command
from ianus.settings.schema import Settings
from ianus.settings.sources import Reader

Serve = Callable[[str, Settings, Reader], int]

# Functions of the line that runs.
_current: dict[str, Serve] = {}


@functools.cache
def command() -> click.Command:
    return build_command(
        lambda app, settings, reader: _current["serve"](app, settings, reader),
        lambda app, settings, reader: _current["check"](app, settings, reader),
        "1.2.3",
    )


def run_line(line: Sequence[str], serve: Serve, check: Serve | None = None) -> Result:
    """Runs `ianus` with the words of `line`. check: called for --check-config, serve if there is none."""
    _current.update(serve=serve, check=check or serve)
    return CliRunner().invoke(command(), line)
