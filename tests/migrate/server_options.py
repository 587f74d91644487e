"""The options of other servers, as their own parsers have them."""

import argparse
import importlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from unittest.mock import patch

import click

# Imported early: it keeps the current directory of its import, and that of a test is removed.
GUNICORN = importlib.import_module("gunicorn.config")


class Option(NamedTuple):
    """An option. value: one that it takes; None for a switch. is_list: all values of a repeated option count."""

    flag: str
    value: str | None
    is_list: bool = False


def options_of(program: str) -> list[Option]:
    """Returns all options of a program's command line, except those that print something."""
    return [option for option in _READERS[program]() if option.flag not in _PRINTING]


_PRINTING = ("-h", "--help", "-v", "--version", "--help-build")


def gunicorn_settings() -> Mapping[str, Any]:
    """Returns the settings of a gunicorn.conf.py, with their defaults."""
    return {setting.name: setting.default for setting in GUNICORN.KNOWN_SETTINGS}


def hypercorn_settings() -> Mapping[str, Any]:
    """Returns the settings of a hypercorn.toml, with their defaults."""
    config = importlib.import_module("hypercorn.config").Config()
    # `bind` and the like are properties of values that start with a dash.
    names = {name.removeprefix("_") for name in dir(type(config)) if not name.startswith("__")}
    values = {name: getattr(config, name, None) for name in names}
    return {name: value for name, value in values.items() if not callable(value)}


def _of_argparse(parser: argparse.ArgumentParser) -> Iterator[Option]:
    for action in parser._actions:
        value = next(iter(action.choices), None) if action.choices else "1"
        for flag in action.option_strings:
            yield Option(flag, None if action.nargs == 0 else str(value), isinstance(action, argparse._AppendAction))


def _of_click(command: click.Command) -> Iterator[Option]:
    for param in command.params:
        choices = getattr(param.type, "choices", ())
        first = choices[0] if choices else "1"
        for flag in (*param.opts, *param.secondary_opts):
            if flag.startswith("-"):
                value = None if getattr(param, "is_flag", False) else str(getattr(first, "value", first))
                yield Option(flag, value, bool(getattr(param, "multiple", False)))


def _gunicorn() -> Iterator[Option]:
    return _of_argparse(GUNICORN.Config().parser())


def _uvicorn() -> Iterator[Option]:
    return _of_click(importlib.import_module("uvicorn.main").main)


def _granian() -> Iterator[Option]:
    return _of_click(importlib.import_module("granian.cli").cli)


def _hypercorn() -> Iterator[Option]:
    module = importlib.import_module("hypercorn.__main__")
    parsers = []

    def stop(parser: argparse.ArgumentParser, *_: object) -> None:
        parsers.append(parser)
        raise SystemExit

    with patch.object(argparse.ArgumentParser, "parse_args", stop):
        try:
            module.main([])
        except SystemExit:
            pass
    return _of_argparse(parsers[0])


def _daphne() -> Iterator[Option]:
    return _of_argparse(importlib.import_module("daphne.cli").CommandLineInterface().parser)


def _waitress() -> Iterator[Option]:
    adjustments = importlib.import_module("waitress.adjustments").Adjustments
    for name, cast in adjustments._params:
        flag = f"--{name.replace('_', '-')}"
        if cast.__name__ == "asbool":
            yield from (Option(flag, None), Option(flag.replace("--", "--no-", 1), None))
        elif name != "sockets":  # of a program alone
            yield Option(flag, "1", is_list=name == "listen")
    yield Option("--call", None)


_READERS = {
    "gunicorn": _gunicorn,
    "uvicorn": _uvicorn,
    "granian": _granian,
    "hypercorn": _hypercorn,
    "daphne": _daphne,
    "waitress-serve": _waitress,
}
