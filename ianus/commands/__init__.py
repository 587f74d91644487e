"""The sub-commands of `ianus`. Each is a module of this folder, with its name (`_` for `-`) and a function
`build_command()`.

Only the module of the sub-command that runs is imported. `serving` is the command without a sub-command.
"""
# ruff: noqa: PTH100  (pathlib takes 5 ms to import)

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from ianus.errors import closest_match

if TYPE_CHECKING:
    import click

# The sentence of each sub-command in `ianus help`, in its order.
SUBCOMMANDS = {
    "check": "Check an application against its specification, and recommend settings for it.",
    "completion": "Print the script that makes a shell complete the lines of `ianus`.",
    "dev": "Serve an application for development: reload, debug log, one worker.",
    "dev-cert": "Make a self-signed certificate for development.",
    "docs": "Show the documents, or search them.",
    "help": "Show the options, or the help of a sub-command.",
    "init": "Write a commented ianus.toml.",
    "migrate": "Print the ianus.toml for a configuration of another server.",
    "version": "Show the version.",
}

# Of a sub-command and its misspelling, from 0 to 1. A word alone is more often the name of an application.
MIN_SIMILARITY = 0.6
MIN_SIMILARITY_ALONE = 0.75

# Words alone that are written as sub-commands: options, and sub-commands of other servers.
_OPTIONS = ("check-config", "print-config", "help-all")
_STARTS = ("start", "serve", "run")


def find_subcommand(line: Sequence[str]) -> "click.Command | None":
    """Returns the sub-command of a line, or None if the line serves an application.

    A sub-command is its exact name as the first word. If it is alone, or only options follow, a module of the same name
    in one of the folders of applications takes precedence. `NAME:app` is always an application. A misspelled name ends
    the process with an error.
    """
    if not line or line[0] not in SUBCOMMANDS:
        _check_spelling(line)
        return None
    name = line[0]
    # Two words are never a line that serves, since it names one application.
    is_alone = len(line) == 1 or line[1].startswith("-")
    if is_alone and _is_module(name, line[1:]):
        return None
    return build_subcommand(name)


def _check_spelling(line: Sequence[str]) -> None:
    """Exits with an error if the first word may be a misspelled sub-command, and is not an application."""
    if not line or not line[0].replace("-", "").isalpha() or line[0].startswith("-"):
        return
    word, is_alone = line[0], len(line) == 1 or line[1].startswith("-")
    advice = ""
    near = closest_match(word, SUBCOMMANDS, MIN_SIMILARITY_ALONE if is_alone else MIN_SIMILARITY)
    # Exchanged letters of a short name are less similar: dve.
    if near := near or next((name for name in SUBCOMMANDS if sorted(name) == sorted(word)), ""):
        advice = f"Did you mean {near}?"
    elif is_alone and word in _OPTIONS:
        advice = f"Did you mean --{word}?"
    elif is_alone and word in _STARTS:
        advice = "Name the application, as in `ianus main:app`; `ianus` alone finds it."
    if advice and not (is_alone and _is_module(word, line[1:], sys.path)):
        sys.stderr.write(f"Error: There is no sub-command {word}. {advice} (ianus docs starting)\n")
        sys.exit(2)


def build_subcommand(name: str) -> "click.Command":
    """Returns the sub-command `name`, which is a key of SUBCOMMANDS."""
    build: Callable[[], click.Command] = import_module(f"ianus.commands.{name.replace('-', '_')}").build_command
    return build()


def _is_module(name: str, options: Sequence[str], installed: Sequence[str] = ()) -> bool:
    """Whether an application may be found as the module `name`.

    Searches the current folder, PYTHONPATH, IANUS_APP_DIR, and each folder that an option names. Installed packages do
    not count, unless their folders are `installed`: some distributions install a package `docs` by mistake.
    """
    from importlib.machinery import PathFinder  # Late: a line that serves does not need it.

    variables = (os.environ.get("IANUS_APP_DIR", ""), *os.environ.get("PYTHONPATH", "").split(os.pathsep))
    folders = [".", *variables, *(option.rpartition("=")[2] for option in options), *installed]
    spec = PathFinder.find_spec(name, [os.path.abspath(folder) for folder in folders if folder])
    # A folder without __init__.py has no attribute that is an application.
    return spec is not None and spec.origin is not None
